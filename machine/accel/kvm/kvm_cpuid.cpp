#include "machine/accel/kvm/kvm_cpuid.h"

#include <cpuid.h>
#include <linux/kvm_para.h>

#include <algorithm>
#include <array>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_table.h"

namespace calco::machine {

namespace {

using cpu::CpuidResult;
using cpu::CpuModel;
using cpu::FeatureWord;

constexpr uint32_t kParavirtualSignature = 0x40000000, kParavirtualFeatures = 0x40000001;
constexpr size_t kWords = static_cast<size_t>(FeatureWord::Count);

struct WordPlace {
  FeatureWord word;
  uint32_t leaf, subleaf;
  uint32_t kvm_cpuid_entry2::* value;
  // Bits that do not depend on KVM: they describe the topology, or what Calco's own devices do.
  uint32_t ours;
};

constexpr uint32_t bit(unsigned number) { return uint32_t{1} << number; }

constexpr std::array<WordPlace, kWords> kPlaces = {{
    {FeatureWord::Leaf1Edx, 1, 0, &kvm_cpuid_entry2::edx, bit(9) | bit(28)},             // APIC, HT
    {FeatureWord::Leaf1Ecx, 1, 0, &kvm_cpuid_entry2::ecx, bit(21) | bit(24) | bit(31)},  // x2APIC, deadline
    {FeatureWord::Leaf6Eax, 6, 0, &kvm_cpuid_entry2::eax, bit(2)},                       // ARAT
    {FeatureWord::Leaf7Ebx, 7, 0, &kvm_cpuid_entry2::ebx, 0},
    {FeatureWord::Leaf7Ecx, 7, 0, &kvm_cpuid_entry2::ecx, 0},
    {FeatureWord::Leaf7Edx, 7, 0, &kvm_cpuid_entry2::edx, 0},
    {FeatureWord::LeafDEax, 0xD, 1, &kvm_cpuid_entry2::eax, 0},
    {FeatureWord::Leaf80000001Edx, 0x80000001, 0, &kvm_cpuid_entry2::edx, bit(9)},
    {FeatureWord::Leaf80000001Ecx, 0x80000001, 0, &kvm_cpuid_entry2::ecx, bit(1)},  // CMP_LEGACY
    {FeatureWord::Leaf80000007Edx, 0x80000007, 0, &kvm_cpuid_entry2::edx, 0},
    {FeatureWord::Leaf80000008Ebx, 0x80000008, 0, &kvm_cpuid_entry2::ebx, 0},
}};

// Those parts of the paravirtual interface that another engine can go on with: clocks and accounting in guest memory,
// and no hypercalls.
constexpr uint32_t kParavirtualOffered = bit(KVM_FEATURE_CLOCKSOURCE) | bit(KVM_FEATURE_NOP_IO_DELAY) |
                                         bit(KVM_FEATURE_CLOCKSOURCE2) | bit(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);

constexpr size_t kMaximumEntries = 256;

std::vector<kvm_cpuid_entry2> supported_cpuid(int system) {
  KvmTable<kvm_cpuid_entry2> table(kMaximumEntries);
  table.header().count = kMaximumEntries;
  kvm_call(system, table_call::kGetSupportedCpuid, table.get(), "KVM_GET_SUPPORTED_CPUID");
  return {table.entries(), table.entries() + table.header().count};
}

const kvm_cpuid_entry2* find(const std::vector<kvm_cpuid_entry2>& entries, uint32_t leaf, uint32_t subleaf) {
  const auto found = std::ranges::find_if(entries, [&](const kvm_cpuid_entry2& entry) {
    const bool indexed = (entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;
    return entry.function == leaf && (!indexed || entry.index == subleaf);
  });
  return found == entries.end() ? nullptr : &*found;
}

uint32_t supported_word(const std::vector<kvm_cpuid_entry2>& entries, const WordPlace& place) {
  const kvm_cpuid_entry2* entry = find(entries, place.leaf, place.subleaf);
  return (entry != nullptr ? entry->*place.value : 0) | place.ours;
}

// SSE3, PCLMULQDQ, SSSE3, SSE4.1, SSE4.2, MOVBE, POPCNT and AES, as far as the host's processor has them.
uint32_t host_instructions(const WordPlace& place) {
  constexpr uint32_t kStateless = bit(0) | bit(1) | bit(9) | bit(19) | bit(20) | bit(22) | bit(23) | bit(25);
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (place.word != FeatureWord::Leaf1Ecx || __get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return 0;
  return ecx & kStateless;
}

bool has_subleaves(uint32_t leaf) { return leaf == 4 || leaf == 7 || leaf == 0xB || leaf == 0xD; }

kvm_cpuid_entry2 make_entry(uint32_t leaf, uint32_t subleaf, const CpuidResult& result) {
  kvm_cpuid_entry2 entry{};
  entry.function = leaf;
  entry.index = subleaf;
  entry.flags = has_subleaves(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
  entry.eax = result.eax;
  entry.ebx = result.ebx;
  entry.ecx = result.ecx;
  entry.edx = result.edx;
  return entry;
}

}  // namespace

std::vector<std::string> adapt_model_to_kvm(int system, CpuModel& model) {
  const std::vector<kvm_cpuid_entry2> supported = supported_cpuid(system);
  std::vector<std::string> lost;
  if (model.is_host()) {
    std::array<uint32_t, kWords> words{};
    for (const WordPlace& place : kPlaces) {
      // The topology's bits follow from -smp, not from the host.
      const uint32_t kept = place.ours & ~(bit(28) | bit(1));
      words[static_cast<size_t>(place.word)] = supported_word(supported, place) & (~place.ours | kept);
    }
    model.become_host(words);
  } else {
    for (const WordPlace& place : kPlaces) {
      const auto names = model.restrict_features(place.word, supported_word(supported, place));
      lost.insert(lost.end(), names.begin(), names.end());
    }
  }
  model.execute_everything();
  const kvm_cpuid_entry2* paravirtual = find(supported, kParavirtualFeatures, 0);
  model.offer_paravirtual(paravirtual != nullptr ? paravirtual->eax & kParavirtualOffered : 0);
  return lost;
}

std::vector<std::string> features_missing_in_kvm(int system, CpuModel model) {
  const std::vector<kvm_cpuid_entry2> supported = supported_cpuid(system);
  std::vector<std::string> missing;
  for (const WordPlace& place : kPlaces) {
    const uint32_t word = supported_word(supported, place) | host_instructions(place);
    const auto names = model.restrict_features(place.word, word);
    missing.insert(missing.end(), names.begin(), names.end());
  }
  return missing;
}

std::vector<kvm_cpuid_entry2> cpuid_entries(int system, const CpuModel& model, const cpu::Cpu& cpu) {
  constexpr uint32_t kMaximumSubleaf = 8, kFirstExtended = 0x80000000, kExtendedState = 0xD;
  std::vector<kvm_cpuid_entry2> entries;
  const auto add = [&](uint32_t leaf) {
    const uint32_t last = has_subleaves(leaf) ? kMaximumSubleaf : 0;
    for (uint32_t subleaf = 0; subleaf <= last; ++subleaf) {
      entries.push_back(make_entry(leaf, subleaf, model.cpuid(leaf, subleaf, cpu)));
    }
  };
  for (uint32_t leaf = 0; leaf <= model.highest_basic_leaf(); ++leaf) add(leaf);
  add(kParavirtualSignature);
  add(kParavirtualFeatures);
  for (uint32_t leaf = kFirstExtended; leaf <= model.highest_extended_leaf(); ++leaf) add(leaf);
  if (model.is_host()) {
    // The sizes of the host's register states are the kernel's business.
    std::erase_if(entries, [](const kvm_cpuid_entry2& entry) { return entry.function == kExtendedState; });
    for (const kvm_cpuid_entry2& entry : supported_cpuid(system)) {
      if (entry.function == kExtendedState) entries.push_back(entry);
    }
  }
  return entries;
}

}  // namespace calco::machine
