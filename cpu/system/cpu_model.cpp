#include "cpu/system/cpu_model.h"

#include <fmt/format.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>

#include "cpu/cpu.h"
#include "cpu/mmu/paging.h"
#include "cpu/system/cpu_features.h"
#include "machine/core/option_error.h"

namespace calco::cpu {

namespace {

using decode::Feature;

constexpr std::string_view kAmd = "AuthenticAMD";
constexpr std::string_view kIntel = "GenuineIntel";
constexpr std::string_view kHypervisor = "Calco x86 VM";

constexpr unsigned kLinearAddressBits = 48;
constexpr unsigned kLinearAddressBits32 = 32;

// Features of the Pentium Pro that every model has.
constexpr std::string_view kPentiumPro =
    "fpu,de,pse,tsc,msr,pae,mce,cx8,pge,cmov,pat,fxsr,mmx,sse,sse2,apic,sep,hypervisor";

constexpr std::string_view kHaswell =
    "mtrr,clflush,mca,pse36,sse3,ssse3,sse4.1,sse4.2,popcnt,cx16,aes,pclmulqdq,arat,lm,syscall,nx,lahf-lm,rdtscp,"
    "x2apic,"
    "tsc-deadline,xsave,xsaveopt,avx,f16c,rdrand,fsgsbase,smep,erms,fma,movbe,pcid,abm,bmi1,avx2,bmi2,invpcid";

// Flags of leaf 1 EDX that AMD processors repeat in leaf 8000_0001H (APM vol. 3, E.4.2).
constexpr uint32_t kAmdRepeated = 0x0183F3FF;

template <typename Action>
void for_each_item(std::string_view list, Action&& action) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (comma != 0) action(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

uint32_t text_register(std::string_view text, size_t index) {
  uint32_t value = 0;
  if (index * 4 < text.size())
    std::memcpy(&value, text.data() + index * 4, std::min<size_t>(4, text.size() - index * 4));
  return value;
}

std::optional<bool> parse_switch(std::string_view value) {
  if (value == "on" || value == "yes" || value == "true") return true;
  if (value == "off" || value == "no" || value == "false") return false;
  return std::nullopt;
}

uint32_t parse_number(std::string_view key, std::string_view value) {
  const bool hexadecimal = value.starts_with("0x");
  const std::string_view digits = hexadecimal ? value.substr(2) : value;
  uint32_t number = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    throw OptionError("-cpu", fmt::format("{}={}: expected a number", key, value));
  }
  return number;
}

// Properties of QEMU's models that change nothing here.
bool is_ignored_property(std::string_view key) {
  constexpr std::string_view kIgnored[] = {
      "check",     "enforce",        "migratable",           "pmu", "l3-cache", "host-cache-info", "tcg-cpuid",
      "phys-bits", "host-phys-bits", "full-cpuid-auto-level"};
  return std::find(std::begin(kIgnored), std::end(kIgnored), key) != std::end(kIgnored);
}

// Number of bits that APIC ids of `count` things take.
unsigned id_width(unsigned count) { return static_cast<unsigned>(std::bit_width(count - 1)); }

}  // namespace

struct CpuModel::Definition {
  std::string_view name;
  std::string_view vendor;
  unsigned family, model, stepping;
  uint32_t basic_level, extended_level;
  std::string_view brand;
  std::string_view features;  // on top of kPentiumPro; empty for "max": all that Calco has

  static std::span<const Definition> all();
};

std::span<const CpuModel::Definition> CpuModel::Definition::all() {
  static constexpr Definition kModels[] = {
      {"qemu64", kAmd, 15, 107, 1, 0xD, 0x8000000A, "QEMU Virtual CPU version 2.5+",
       "mtrr,clflush,mca,pse36,sse3,cx16,lm,syscall,nx,lahf-lm"},
      {"qemu32", kIntel, 6, 6, 3, 4, 0x80000004, "QEMU Virtual CPU version 2.5+", "sse3"},
      {"kvm64", kIntel, 15, 6, 1, 0xD, 0x80000008, "Common KVM processor",
       "mtrr,clflush,mca,pse36,sse3,cx16,lm,syscall,nx"},
      {"kvm32", kIntel, 15, 6, 1, 5, 0x80000008, "Common 32-bit KVM processor", "mtrr,clflush,mca,pse36,sse3"},
      {"Conroe", kIntel, 6, 15, 3, 10, 0x80000008, "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
       "mtrr,clflush,mca,pse36,sse3,ssse3,lm,syscall,nx,lahf-lm"},
      {"Penryn", kIntel, 6, 23, 3, 10, 0x80000008, "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
       "mtrr,clflush,mca,pse36,sse3,ssse3,sse4.1,cx16,lm,syscall,nx,lahf-lm"},
      {"Nehalem", kIntel, 6, 26, 3, 11, 0x80000008, "Intel Core i7 9xx (Nehalem Class Core i7)",
       "mtrr,clflush,mca,pse36,sse3,ssse3,sse4.1,sse4.2,popcnt,cx16,lm,syscall,nx,lahf-lm"},
      {"Westmere", kIntel, 6, 44, 1, 11, 0x80000008, "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
       "mtrr,clflush,mca,pse36,sse3,ssse3,sse4.1,sse4.2,popcnt,cx16,aes,pclmulqdq,arat,lm,syscall,nx,lahf-lm"},
      {"SandyBridge", kIntel, 6, 42, 1, 0xD, 0x80000008, "Intel Xeon E312xx (Sandy Bridge)",
       "mtrr,clflush,mca,pse36,sse3,ssse3,sse4.1,sse4.2,popcnt,cx16,aes,pclmulqdq,arat,lm,syscall,nx,lahf-lm,rdtscp,"
       "x2apic,tsc-deadline,xsave,xsaveopt,avx"},
      {"IvyBridge", kIntel, 6, 58, 9, 0xD, 0x80000008, "Intel Xeon E3-12xx v2 (Ivy Bridge)",
       "mtrr,clflush,mca,pse36,sse3,ssse3,sse4.1,sse4.2,popcnt,cx16,aes,pclmulqdq,arat,lm,syscall,nx,lahf-lm,rdtscp,"
       "x2apic,tsc-deadline,xsave,xsaveopt,avx,f16c,rdrand,fsgsbase,smep,erms"},
      // Transactional memory is left out of Haswell, so that both are the same.
      {"Haswell", kIntel, 6, 60, 4, 0xD, 0x80000008, "Intel Core Processor (Haswell)", kHaswell},
      {"Haswell-noTSX", kIntel, 6, 60, 1, 0xD, 0x80000008, "Intel Core Processor (Haswell, no TSX)", kHaswell},
      {"max", kAmd, 15, 107, 1, 0x15, 0x8000000A, "Calco virtual CPU", ""},
      {"host", kAmd, 15, 107, 1, 0x15, 0x8000000A, "the host's processor (with -accel kvm)", ""},
      {"base", kIntel, 6, 0, 0, 0xD, 0x80000008, "Calco base CPU", "lm,syscall,nx"},
  };
  return kModels;
}

// --- Command line ----------------------------------------------------------------------------------------------------

CpuModel CpuModel::parse(std::string_view option) {
  const size_t comma = std::min(option.find(','), option.size());
  const std::string_view name = option.substr(0, comma);
  const auto models = Definition::all();
  const auto found = std::find_if(models.begin(), models.end(), [&](const Definition& it) { return it.name == name; });
  if (found == models.end()) {
    std::string known;
    for (const Definition& it : models) known += fmt::format(" {}", it.name);
    throw OptionError("-cpu", fmt::format("unknown model '{}'; known are:{}", name, known));
  }
  CpuModel model;
  model.name_ = name;
  model.vendor_ = found->vendor;
  model.brand_ = found->brand;
  model.family_ = found->family;
  model.model_ = found->model;
  model.stepping_ = found->stepping;
  model.basic_level_ = found->basic_level;
  model.extended_level_ = found->extended_level;
  for_each_item(kPentiumPro, [&](std::string_view feature) { model.set_feature(feature, true); });
  for_each_item(found->features, [&](std::string_view feature) { model.set_feature(feature, true); });
  if (found->features.empty()) {
    // MONITOR is left to those who ask for it: MWAIT does not sleep, so an idle guest would spin. HT and CMP_LEGACY
    // follow the topology.
    for (const FeatureFlag& flag : feature_flags()) {
      const bool on_request = flag.name == "monitor" || flag.name == "ht" || flag.name == "cmp-legacy";
      if (is_supported(flag) && !on_request) model.set_feature(flag.name, true);
    }
  }
  for_each_item(option.substr(std::min(comma + 1, option.size())),
                [&](std::string_view item) { model.apply_option(item); });
  model.apply_dependencies();
  model.derive_features();
  return model;
}

std::string CpuModel::help() {
  std::string text = "Available CPUs:\n";
  for (const Definition& model : Definition::all()) {
    text += fmt::format("x86 {:<20}  {}\n", model.name, model.brand);
  }
  text += "\nRecognized CPUID flags:\n ";
  size_t column = 1;
  for (const FeatureFlag& flag : feature_flags()) {
    if (!is_supported(flag)) continue;
    if (column + flag.name.size() >= 78) {
      text += "\n ";
      column = 1;
    }
    text += fmt::format(" {}", flag.name);
    column += flag.name.size() + 1;
  }
  return text + "\n";
}

void CpuModel::apply_option(std::string_view item) {
  if (item.starts_with('+') || item.starts_with('-')) {
    set_feature(item.substr(1), item.front() == '+');
    return;
  }
  const size_t equals = item.find('=');
  if (equals == std::string_view::npos) {
    set_property(item, "on");
  } else {
    set_property(item.substr(0, equals), item.substr(equals + 1));
  }
}

void CpuModel::set_property(std::string_view key, std::string_view value) {
  if (key == "kvm") {
    const std::optional<bool> offered = parse_switch(value);
    if (!offered) throw OptionError("-cpu", fmt::format("kvm={}: on or off", value));
    paravirtual_allowed_ = *offered;
  } else if (key == "vendor") {
    if (value.size() != 12) throw OptionError("-cpu", "vendor= takes exactly 12 characters, such as GenuineIntel");
    vendor_ = value;
  } else if (key == "model-id") {
    brand_ = value.substr(0, 47);
  } else if (key == "family") {
    family_ = std::min(parse_number(key, value), 0xFFu + 0xF);
  } else if (key == "model") {
    model_ = parse_number(key, value) & 0xFF;
  } else if (key == "stepping") {
    stepping_ = parse_number(key, value) & 0xF;
  } else if (key == "level") {
    basic_level_ = std::min(parse_number(key, value), 0x1Fu);
  } else if (key == "xlevel") {
    extended_level_ = std::clamp(parse_number(key, value), 0x80000000u, 0x8000001Fu);
  } else if (!is_ignored_property(key)) {
    const std::optional<bool> on = parse_switch(value);
    if (!on) throw OptionError("-cpu", fmt::format("{}={}: a feature is on or off", key, value));
    set_feature(key, *on);
  }
}

void CpuModel::set_feature(std::string_view feature, bool on) {
  const FeatureFlag* flag = find_feature(feature);
  if (flag == nullptr) {
    throw OptionError("-cpu", fmt::format("unknown feature '{}'; '-cpu help' lists the features", feature));
  }
  if (on && !is_supported(*flag)) {
    const char* reason = flag->implemented ? "needs a host processor that has it" : "is not implemented";
    warnings_.push_back(fmt::format("-cpu: feature '{}' {} and stays off", feature, reason));
    return;
  }
  const uint32_t bit = uint32_t{1} << flag->bit;
  word(flag->word) = on ? word(flag->word) | bit : word(flag->word) & ~bit;
}

// A feature whose state or instructions build on another's goes with it (SDM vol. 1, 14.3, 14.5.1; vol. 1, 13.2).
void CpuModel::apply_dependencies() {
  constexpr std::pair<std::string_view, std::string_view> kNeeds[] = {
      {"xsaveopt", "xsave"}, {"xsavec", "xsave"}, {"xgetbv1", "xsave"}, {"xsaves", "xsave"}, {"avx", "xsave"},
      {"avx2", "avx"},       {"fma", "avx"},      {"f16c", "avx"},      {"vaes", "avx"},     {"vpclmulqdq", "avx"},
  };
  for (const auto& [name, needed] : kNeeds) {
    const FeatureFlag &flag = *find_feature(name), &base = *find_feature(needed);
    if (has_flag(flag.word, flag.bit) && !has_flag(base.word, base.bit)) set_feature(name, false);
  }
}

void CpuModel::derive_features() {
  features_.reset();
  features_.set(static_cast<size_t>(Feature::Base));
  for (const FeatureFlag& flag : feature_flags()) {
    if (has_flag(flag.word, flag.bit)) features_.set(static_cast<size_t>(flag.feature));
  }
  features_.set(static_cast<size_t>(Feature::Lzcnt), has(Feature::Abm));
  if (vendor_ == kAmd) {
    uint32_t& repeated = word(FeatureWord::Leaf80000001Edx);
    repeated = (repeated & ~kAmdRepeated) | (word(FeatureWord::Leaf1Edx) & kAmdRepeated);
  }
}

std::vector<std::string> CpuModel::restrict_features(FeatureWord which, uint32_t supported) {
  std::vector<std::string> names;
  const uint32_t missing = word(which) & ~supported;
  for (const FeatureFlag& flag : feature_flags()) {
    if (flag.word == which && (missing >> flag.bit & 1) != 0) names.emplace_back(flag.name);
  }
  word(which) &= supported;
  derive_features();
  return names;
}

void CpuModel::execute_everything() {
  for (const FeatureFlag& flag : feature_flags()) {
    const bool mode =
        flag.feature == Feature::LongMode || flag.feature == Feature::Syscall || flag.feature == Feature::Nx;
    if (is_supported(flag) && !mode) features_.set(static_cast<size_t>(flag.feature));
  }
}

void CpuModel::become_host(const std::array<uint32_t, static_cast<size_t>(FeatureWord::Count)>& features) {
  words_ = features;
#if defined(__x86_64__)
  std::array<uint32_t, 12> text{};
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __cpuid(0, eax, ebx, ecx, edx);
  text = {ebx, edx, ecx};
  vendor_.assign(reinterpret_cast<const char*>(text.data()), 12);
  for (unsigned leaf = 0; leaf < 3; ++leaf) {
    __cpuid(0x80000002 + leaf, text[leaf * 4], text[leaf * 4 + 1], text[leaf * 4 + 2], text[leaf * 4 + 3]);
  }
  brand_.assign(reinterpret_cast<const char*>(text.data()), 48);
  brand_.resize(std::min(brand_.size(), brand_.find('\0')));
  __cpuid(1, eax, ebx, ecx, edx);
  family_ = (eax >> 8 & 0xF) + ((eax >> 8 & 0xF) == 0xF ? eax >> 20 & 0xFF : 0);
  model_ = (eax >> 4 & 0xF) | (eax >> 12 & 0xF0);
  stepping_ = eax & 0xF;
#endif
  set_topology(threads_per_core_, cores_per_socket_);
  derive_features();
}

void CpuModel::set_topology(unsigned threads_per_core, unsigned cores_per_socket) {
  threads_per_core_ = std::max(threads_per_core, 1u);
  cores_per_socket_ = std::max(cores_per_socket, 1u);
  if (logical_processors() > 1) {
    set_feature("ht", true);
    if (vendor_ == kAmd) set_feature("cmp-legacy", true);
  }
}

uint64_t CpuModel::supported_xcr0() const {
  constexpr uint64_t kX87AndSse = 3, kAvx = 4;
  if (!has(Feature::Xsave)) return 0;
  return has(Feature::Avx) ? kX87AndSse | kAvx : kX87AndSse;
}

// --- Leaves ----------------------------------------------------------------------------------------------------------

CpuidResult CpuModel::vendor_leaf(uint32_t highest) const {
  return {highest, text_register(vendor_, 0), text_register(vendor_, 2), text_register(vendor_, 1)};
}

CpuidResult CpuModel::signature_leaf(const Cpu& cpu) const {
  constexpr uint32_t kClflushSize = 64 / 8;
  constexpr uint32_t kApicBit = 1u << 9, kOsxsaveBit = 1u << 27;
  constexpr uint64_t kApicEnabled = 1u << 11;
  const unsigned family = std::min(family_, 15u);
  const unsigned extended_family = family_ > 15 ? family_ - 15 : 0;
  CpuidResult result;
  result.eax = extended_family << 20 | (model_ >> 4) << 16 | family << 8 | (model_ & 0xF) << 4 | stepping_;
  result.ebx =
      (apic_id(cpu.environment().index) & 0xFF) << 24 | std::min(logical_processors(), 255u) << 16 | kClflushSize << 8;
  result.ecx = word(FeatureWord::Leaf1Ecx);
  if (has(Feature::Xsave) && (cpu.cr4 & cr4::kOsxsave) != 0) result.ecx |= kOsxsaveBit;
  result.edx = word(FeatureWord::Leaf1Edx);
  if ((cpu.environment().apic.base_register() & kApicEnabled) == 0) result.edx &= ~kApicBit;
  return result;
}

// Deterministic cache parameters (SDM vol. 2, CPUID, leaf 4).
CpuidResult CpuModel::cache_leaf(uint32_t subleaf) const {
  struct Cache {
    uint32_t type, level, ways, sets;
    bool shared;
  };
  constexpr Cache kCaches[] = {
      {1, 1, 8, 64, false}, {2, 1, 8, 64, false}, {3, 2, 16, 4096, false}, {3, 3, 16, 16384, true}};
  constexpr uint32_t kLineSize = 64, kSelfInitialising = 1u << 8;
  if (subleaf >= std::size(kCaches)) return {};
  const Cache& cache = kCaches[subleaf];
  const unsigned sharing = cache.shared ? logical_processors() : threads_per_core_;
  CpuidResult result;
  result.eax = cache.type | cache.level << 5 | kSelfInitialising | (std::bit_ceil(sharing) - 1) << 14 |
               (std::bit_ceil(cores_per_socket_) - 1) << 26;
  result.ebx = (kLineSize - 1) | (cache.ways - 1) << 22;
  result.ecx = cache.sets - 1;
  return result;
}

uint32_t CpuModel::apic_id(unsigned index) const {
  const unsigned thread = index % threads_per_core_;
  const unsigned core = index / threads_per_core_ % cores_per_socket_;
  const unsigned socket = index / logical_processors();
  const unsigned thread_bits = id_width(threads_per_core_);
  return (socket << id_width(cores_per_socket_) | core) << thread_bits | thread;
}

// Extended topology (leaf BH): threads of a core, then cores of a package.
CpuidResult CpuModel::topology_leaf(uint32_t subleaf, const Cpu& cpu) const {
  constexpr uint32_t kThreadLevel = 1u << 8, kCoreLevel = 2u << 8;
  CpuidResult result;
  result.ecx = subleaf & 0xFF;
  result.edx = apic_id(cpu.environment().index);
  const unsigned thread_bits = id_width(threads_per_core_);
  if (subleaf == 0) {
    result.eax = thread_bits;
    result.ebx = threads_per_core_;
    result.ecx |= kThreadLevel;
  } else if (subleaf == 1) {
    result.eax = thread_bits + id_width(cores_per_socket_);
    result.ebx = logical_processors();
    result.ecx |= kCoreLevel;
  }
  return result;
}

// Leaf DH: the legacy area of 512 bytes, the header of 64, then the upper halves of the YMM registers.
CpuidResult CpuModel::xsave_leaf(uint32_t subleaf, const Cpu& cpu) const {
  constexpr uint32_t kLegacyAndHeader = 576, kAvxOffset = 576, kAvxSize = 256;
  constexpr uint64_t kAvx = 4;
  const uint64_t supported = supported_xcr0();
  if (supported == 0) return {};
  const auto area = [](uint64_t components) {
    return (components & kAvx) != 0 ? kAvxOffset + kAvxSize : kLegacyAndHeader;
  };
  if (subleaf == 0) return {static_cast<uint32_t>(supported), area(cpu.xcr0), area(supported), 0};
  if (subleaf == 1) {
    const bool compacted = has(Feature::Xsavec) || has(Feature::Xsaves);
    return {word(FeatureWord::LeafDEax), compacted ? area(cpu.xcr0 | cpu.xss) : 0, 0, 0};
  }
  if (subleaf == 2 && (supported & kAvx) != 0) return {kAvxSize, kAvxOffset, 0, 0};
  return {};
}

CpuidResult CpuModel::brand_leaf(unsigned index) const {
  const size_t first = size_t{index} * 4;
  return {text_register(brand_, first), text_register(brand_, first + 1), text_register(brand_, first + 2),
          text_register(brand_, first + 3)};
}

CpuidResult CpuModel::address_size_leaf() const {
  const unsigned linear = has(Feature::LongMode) ? kLinearAddressBits : kLinearAddressBits32;
  const unsigned physical = has(Feature::LongMode) ? kPhysicalAddressBits : 36;
  CpuidResult result;
  result.eax = physical | linear << 8;
  result.ebx = word(FeatureWord::Leaf80000008Ebx);
  if (logical_processors() > 1)
    result.ecx = (logical_processors() - 1) | (id_width(threads_per_core_) + id_width(cores_per_socket_)) << 12;
  return result;
}

CpuidResult CpuModel::hypervisor_leaf(uint32_t leaf) const {
  if (paravirtual_ != 0) {
    // Documentation/virt/kvm/x86/cpuid.rst.
    constexpr std::string_view kSignature("KVMKVMKVM\0\0\0", 12);
    if (leaf == 0x40000001) return {paravirtual_, 0, 0, 0};
    if (leaf != 0x40000000) return {};
    return {0x40000001, text_register(kSignature, 0), text_register(kSignature, 1), text_register(kSignature, 2)};
  }
  if (leaf != 0x40000000) return {};
  return {0x40000001, text_register(kHypervisor, 0), text_register(kHypervisor, 1), text_register(kHypervisor, 2)};
}

CpuidResult CpuModel::basic_leaf(uint32_t leaf, uint32_t subleaf, const Cpu& cpu) const {
  switch (leaf) {
    case 0:
      return vendor_leaf(basic_level_);
    case 1:
      return signature_leaf(cpu);
    case 2:  // 32 KByte level 1 caches, 4 MByte level 2, 16 MByte level 3 (SDM vol. 2, table 3-12)
      return {1, 0, 0x4D, 0x002C307D};
    case 4:
      return cache_leaf(subleaf);
    case 5:  // MONITOR lines of 64 bytes
      return has(Feature::Monitor) ? CpuidResult{64, 64, 3, 0} : CpuidResult{};
    case 6:
      return {word(FeatureWord::Leaf6Eax), 0, 0, 0};
    case 7:
      if (subleaf != 0) return {};
      return {0, word(FeatureWord::Leaf7Ebx), word(FeatureWord::Leaf7Ecx), word(FeatureWord::Leaf7Edx)};
    case 0xB:
      return topology_leaf(subleaf, cpu);
    case 0xD:
      return xsave_leaf(subleaf, cpu);
    case 0x15: {  // TSC frequency as a ratio to a crystal of 1 MHz
      constexpr uint32_t kCrystal = 1'000'000;
      const auto ratio = static_cast<uint32_t>(tsc_frequency_ / kCrystal);
      return ratio == 0 ? CpuidResult{} : CpuidResult{1, ratio, kCrystal, 0};
    }
    default:
      return {};
  }
}

CpuidResult CpuModel::extended_leaf(uint32_t leaf, const Cpu& cpu) const {
  switch (leaf) {
    case 0x80000000:
      return vendor_leaf(extended_level_);
    case 0x80000001: {
      CpuidResult result;
      if (!is_intel()) result.eax = signature_leaf(cpu).eax;
      result.ecx = word(FeatureWord::Leaf80000001Ecx);
      result.edx = word(FeatureWord::Leaf80000001Edx);
      // Intel reports SYSCALL in 64-bit mode only (SDM vol. 2, CPUID).
      constexpr uint32_t kSyscall = 1u << 11;
      if (is_intel() && !cpu.code_64()) result.edx &= ~kSyscall;
      return result;
    }
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brand_leaf(leaf - 0x80000002);
    case 0x80000005:  // AMD: level 1 TLBs and caches (APM vol. 3, E.4.5)
      return {0x01FF01FF, 0x01FF01FF, 0x40020140, 0x40020140};
    case 0x80000006:  // level 2 TLBs and caches
      return {0, 0x42004200, 0x10008140, 0x00808140};
    case 0x80000007:
      return {0, 0, 0, word(FeatureWord::Leaf80000007Edx)};
    case 0x80000008:
      return address_size_leaf();
    default:
      return {};
  }
}

CpuidResult CpuModel::cpuid(uint32_t leaf, uint32_t subleaf, const Cpu& cpu) const {
  constexpr uint32_t kHypervisorFirst = 0x40000000, kHypervisorLast = 0x400000FF;
  constexpr unsigned kHypervisorBit = 31;
  if (leaf >= 0x80000000 && leaf <= extended_level_) return extended_leaf(leaf, cpu);
  const bool hypervisor = has_flag(FeatureWord::Leaf1Ecx, kHypervisorBit);
  if (hypervisor && leaf >= kHypervisorFirst && leaf <= kHypervisorLast) return hypervisor_leaf(leaf);
  // What lies above the highest leaf answers as the highest basic leaf does (SDM vol. 2, CPUID).
  return basic_leaf(std::min(leaf, basic_level_), subleaf, cpu);
}

}  // namespace calco::cpu
