// CPU models: what CPUID reports and which instructions exist.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/decode/instruction.h"

namespace calco::cpu {

class Cpu;

// The CPUID registers that hold feature flags.
enum class FeatureWord : uint8_t {
  Leaf1Edx,
  Leaf1Ecx,
  Leaf6Eax,
  Leaf7Ebx,
  Leaf7Ecx,
  Leaf7Edx,
  LeafDEax,  // leaf DH, subleaf 1
  Leaf80000001Edx,
  Leaf80000001Ecx,
  Leaf80000007Edx,
  Leaf80000008Ebx,
  Count
};

struct CpuidResult {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// One processor model, shared by all processors of a machine.
//
// Threads: immutable once the machine runs.
class CpuModel {
 public:
  // The model of `-cpu option`: NAME[,+feature][,-feature][,feature=on|off][,vendor=...][,family=N]... with QEMU's
  // names. Features that QEMU knows and Calco does not execute are left out and listed in warnings(). Throws
  // OptionError.
  static CpuModel parse(std::string_view option);
  // The text of `-cpu help`.
  static std::string help();

  const std::string& name() const { return name_; }
  const decode::FeatureSet& features() const { return features_; }
  bool has(decode::Feature feature) const { return features_.test(static_cast<size_t>(feature)); }
  bool has_flag(FeatureWord word, unsigned bit) const { return (words_[static_cast<size_t>(word)] >> bit & 1) != 0; }
  bool is_intel() const { return vendor_ == "GenuineIntel"; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // `-smp`: how the processors of the machine are grouped.
  void set_topology(unsigned threads_per_core, unsigned cores_per_socket);
  // The initial APIC id of a processor: fields for thread, core and socket, each as wide as its count needs (SDM vol.
  // 3, 9.9.1).
  uint32_t apic_id(unsigned index) const;
  // Takes away the features of `which` that are not in `supported`, because whoever executes the guest lacks them; their
  // names.
  std::vector<std::string> restrict_features(FeatureWord which, uint32_t supported);
  // The interpreter executes all that it knows outside of system instructions, whatever CPUID says: the processor that
  // else executes the guest does so too.
  void execute_everything();
  // `-cpu host`: the features are all of `features`, and the processor is called as CPUID calls the host's.
  bool is_host() const { return name_ == "host"; }
  void become_host(const std::array<uint32_t, static_cast<size_t>(FeatureWord::Count)>& features);
  // The feature flags of KVM's paravirtual interface (leaf 40000001H); 0: there is none. `-cpu ...,kvm=off` keeps it 0.
  void offer_paravirtual(uint32_t features) { paravirtual_ = paravirtual_allowed_ ? features : 0; }
  uint32_t paravirtual_features() const { return paravirtual_; }
  uint32_t highest_basic_leaf() const { return basic_level_; }
  uint32_t highest_extended_leaf() const { return extended_level_; }
  // Frequency of the time-stamp counter in Hz, for leaves that report it; 0: not reported.
  void set_tsc_frequency(uint64_t hertz) { tsc_frequency_ = hertz; }

  // The answer of CPUID on `cpu`: static leaves, and bits that follow the processor's state (OSXSAVE, APIC).
  CpuidResult cpuid(uint32_t leaf, uint32_t subleaf, const Cpu& cpu) const;

  // XCR0 bits that exist.
  uint64_t supported_xcr0() const;

 private:
  struct Definition;

  uint32_t word(FeatureWord which) const { return words_[static_cast<size_t>(which)]; }
  uint32_t& word(FeatureWord which) { return words_[static_cast<size_t>(which)]; }
  void apply_option(std::string_view item);
  void set_property(std::string_view key, std::string_view value);
  void set_feature(std::string_view feature, bool on);
  void apply_dependencies();
  void derive_features();
  unsigned logical_processors() const { return threads_per_core_ * cores_per_socket_; }

  CpuidResult vendor_leaf(uint32_t highest) const;
  CpuidResult signature_leaf(const Cpu& cpu) const;
  CpuidResult cache_leaf(uint32_t subleaf) const;
  CpuidResult topology_leaf(uint32_t subleaf, const Cpu& cpu) const;
  CpuidResult xsave_leaf(uint32_t subleaf, const Cpu& cpu) const;
  CpuidResult brand_leaf(unsigned index) const;
  CpuidResult address_size_leaf() const;
  CpuidResult basic_leaf(uint32_t leaf, uint32_t subleaf, const Cpu& cpu) const;
  CpuidResult extended_leaf(uint32_t leaf, const Cpu& cpu) const;
  CpuidResult hypervisor_leaf(uint32_t leaf) const;

  std::string name_;
  std::string vendor_;
  std::string brand_;
  unsigned family_ = 6, model_ = 0, stepping_ = 0;
  uint32_t basic_level_ = 0, extended_level_ = 0;
  std::array<uint32_t, static_cast<size_t>(FeatureWord::Count)> words_{};
  decode::FeatureSet features_;
  std::vector<std::string> warnings_;
  unsigned threads_per_core_ = 1, cores_per_socket_ = 1;
  uint64_t tsc_frequency_ = 0;
  uint32_t paravirtual_ = 0;
  bool paravirtual_allowed_ = true;
};

}  // namespace calco::cpu
