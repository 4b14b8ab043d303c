#include "cpu/system/cpu_features.h"

#include <algorithm>
#include <string>
#include <utility>

namespace calco::cpu {

namespace {

using decode::Feature;

// SDM vol. 2, CPUID; APM vol. 3, appendix E.
constexpr FeatureFlag kFlags[] = {
    // clang-format off
    {"fpu", FeatureWord::Leaf1Edx, 0, true, Feature::X87},
    {"vme", FeatureWord::Leaf1Edx, 1, false},
    {"de", FeatureWord::Leaf1Edx, 2, true},
    {"pse", FeatureWord::Leaf1Edx, 3, true, Feature::Pse},
    {"tsc", FeatureWord::Leaf1Edx, 4, true, Feature::Tsc},
    {"msr", FeatureWord::Leaf1Edx, 5, true, Feature::Msr},
    {"pae", FeatureWord::Leaf1Edx, 6, true, Feature::Pae},
    {"mce", FeatureWord::Leaf1Edx, 7, true},
    {"cx8", FeatureWord::Leaf1Edx, 8, true, Feature::Cx8},
    {"apic", FeatureWord::Leaf1Edx, 9, true},
    {"sep", FeatureWord::Leaf1Edx, 11, true, Feature::SysEnter},
    {"mtrr", FeatureWord::Leaf1Edx, 12, true},
    {"pge", FeatureWord::Leaf1Edx, 13, true, Feature::Pge},
    {"mca", FeatureWord::Leaf1Edx, 14, true},
    {"cmov", FeatureWord::Leaf1Edx, 15, true, Feature::Cmov},
    {"pat", FeatureWord::Leaf1Edx, 16, true},
    {"pse36", FeatureWord::Leaf1Edx, 17, true},
    {"pn", FeatureWord::Leaf1Edx, 18, false},
    {"clflush", FeatureWord::Leaf1Edx, 19, true, Feature::Clflush},
    {"ds", FeatureWord::Leaf1Edx, 21, false},
    {"acpi", FeatureWord::Leaf1Edx, 22, false},
    {"mmx", FeatureWord::Leaf1Edx, 23, true, Feature::Mmx},
    {"fxsr", FeatureWord::Leaf1Edx, 24, true, Feature::Fxsr},
    {"sse", FeatureWord::Leaf1Edx, 25, true, Feature::Sse},
    {"sse2", FeatureWord::Leaf1Edx, 26, true, Feature::Sse2},
    {"ss", FeatureWord::Leaf1Edx, 27, true},
    {"ht", FeatureWord::Leaf1Edx, 28, true},
    {"tm", FeatureWord::Leaf1Edx, 29, false},
    {"ia64", FeatureWord::Leaf1Edx, 30, false},
    {"pbe", FeatureWord::Leaf1Edx, 31, false},
    {"pni", FeatureWord::Leaf1Ecx, 0, true, Feature::Sse3},
    {"pclmulqdq", FeatureWord::Leaf1Ecx, 1, true, Feature::Pclmulqdq},
    {"dtes64", FeatureWord::Leaf1Ecx, 2, false},
    {"monitor", FeatureWord::Leaf1Ecx, 3, true, Feature::Monitor},
    {"ds-cpl", FeatureWord::Leaf1Ecx, 4, false},
    {"vmx", FeatureWord::Leaf1Ecx, 5, false},
    {"smx", FeatureWord::Leaf1Ecx, 6, false},
    {"est", FeatureWord::Leaf1Ecx, 7, false},
    {"tm2", FeatureWord::Leaf1Ecx, 8, false},
    {"ssse3", FeatureWord::Leaf1Ecx, 9, true, Feature::Ssse3},
    {"cid", FeatureWord::Leaf1Ecx, 10, false},
    {"fma", FeatureWord::Leaf1Ecx, 12, true, Feature::Fma},
    {"cx16", FeatureWord::Leaf1Ecx, 13, true, Feature::Cx16},
    {"xtpr", FeatureWord::Leaf1Ecx, 14, false},
    {"pdcm", FeatureWord::Leaf1Ecx, 15, false},
    {"pcid", FeatureWord::Leaf1Ecx, 17, true, Feature::Pcid},
    {"dca", FeatureWord::Leaf1Ecx, 18, false},
    {"sse4.1", FeatureWord::Leaf1Ecx, 19, true, Feature::Sse41},
    {"sse4.2", FeatureWord::Leaf1Ecx, 20, true, Feature::Sse42},
    {"x2apic", FeatureWord::Leaf1Ecx, 21, true},
    {"movbe", FeatureWord::Leaf1Ecx, 22, true, Feature::Movbe},
    {"popcnt", FeatureWord::Leaf1Ecx, 23, true, Feature::Popcnt},
    {"tsc-deadline", FeatureWord::Leaf1Ecx, 24, true},
    {"aes", FeatureWord::Leaf1Ecx, 25, true, Feature::Aes},
    {"xsave", FeatureWord::Leaf1Ecx, 26, true, Feature::Xsave},
    {"avx", FeatureWord::Leaf1Ecx, 28, true, Feature::Avx},
    {"f16c", FeatureWord::Leaf1Ecx, 29, true, Feature::F16c},
    {"rdrand", FeatureWord::Leaf1Ecx, 30, true, Feature::Rdrand},
    {"hypervisor", FeatureWord::Leaf1Ecx, 31, true},
    {"arat", FeatureWord::Leaf6Eax, 2, true},
    {"fsgsbase", FeatureWord::Leaf7Ebx, 0, true, Feature::Fsgsbase},
    {"tsc-adjust", FeatureWord::Leaf7Ebx, 1, true},
    {"sgx", FeatureWord::Leaf7Ebx, 2, false},
    {"bmi1", FeatureWord::Leaf7Ebx, 3, true, Feature::Bmi1},
    {"hle", FeatureWord::Leaf7Ebx, 4, false},
    {"avx2", FeatureWord::Leaf7Ebx, 5, true, Feature::Avx2},
    {"smep", FeatureWord::Leaf7Ebx, 7, true, Feature::Smep},
    {"bmi2", FeatureWord::Leaf7Ebx, 8, true, Feature::Bmi2},
    {"erms", FeatureWord::Leaf7Ebx, 9, true, Feature::Erms},
    {"invpcid", FeatureWord::Leaf7Ebx, 10, true, Feature::Invpcid},
    {"rtm", FeatureWord::Leaf7Ebx, 11, false},
    {"mpx", FeatureWord::Leaf7Ebx, 14, false},
    {"avx512f", FeatureWord::Leaf7Ebx, 16, false},
    {"avx512dq", FeatureWord::Leaf7Ebx, 17, false},
    {"rdseed", FeatureWord::Leaf7Ebx, 18, true, Feature::Rdseed},
    {"adx", FeatureWord::Leaf7Ebx, 19, true, Feature::Adx},
    {"smap", FeatureWord::Leaf7Ebx, 20, true, Feature::Smap},
    {"avx512ifma", FeatureWord::Leaf7Ebx, 21, false},
    {"pcommit", FeatureWord::Leaf7Ebx, 22, false},
    {"clflushopt", FeatureWord::Leaf7Ebx, 23, true, Feature::Clflushopt},
    {"clwb", FeatureWord::Leaf7Ebx, 24, true, Feature::Clwb},
    {"intel-pt", FeatureWord::Leaf7Ebx, 25, false},
    {"avx512pf", FeatureWord::Leaf7Ebx, 26, false},
    {"avx512er", FeatureWord::Leaf7Ebx, 27, false},
    {"avx512cd", FeatureWord::Leaf7Ebx, 28, false},
    {"sha-ni", FeatureWord::Leaf7Ebx, 29, true, Feature::Sha},
    {"avx512bw", FeatureWord::Leaf7Ebx, 30, false},
    {"avx512vl", FeatureWord::Leaf7Ebx, 31, false},
    {"avx512vbmi", FeatureWord::Leaf7Ecx, 1, false},
    {"umip", FeatureWord::Leaf7Ecx, 2, true, Feature::Umip},
    {"pku", FeatureWord::Leaf7Ecx, 3, false},
    {"waitpkg", FeatureWord::Leaf7Ecx, 5, false, Feature::Waitpkg},
    {"avx512vbmi2", FeatureWord::Leaf7Ecx, 6, false},
    {"gfni", FeatureWord::Leaf7Ecx, 8, false},
    {"vaes", FeatureWord::Leaf7Ecx, 9, true, Feature::Vaes},
    {"vpclmulqdq", FeatureWord::Leaf7Ecx, 10, true, Feature::Vpclmulqdq},
    {"avx512vnni", FeatureWord::Leaf7Ecx, 11, false},
    {"avx512bitalg", FeatureWord::Leaf7Ecx, 12, false},
    {"avx512-vpopcntdq", FeatureWord::Leaf7Ecx, 14, false},
    {"la57", FeatureWord::Leaf7Ecx, 16, false},
    {"rdpid", FeatureWord::Leaf7Ecx, 22, true, Feature::Rdpid},
    {"bus-lock-detect", FeatureWord::Leaf7Ecx, 24, false},
    {"cldemote", FeatureWord::Leaf7Ecx, 25, false},
    {"movdiri", FeatureWord::Leaf7Ecx, 27, false},
    {"movdir64b", FeatureWord::Leaf7Ecx, 28, false},
    {"pks", FeatureWord::Leaf7Ecx, 31, false},
    {"avx512-4vnniw", FeatureWord::Leaf7Edx, 2, false},
    {"avx512-4fmaps", FeatureWord::Leaf7Edx, 3, false},
    {"fsrm", FeatureWord::Leaf7Edx, 4, true, Feature::Fsrm},
    {"avx512-vp2intersect", FeatureWord::Leaf7Edx, 8, false},
    {"md-clear", FeatureWord::Leaf7Edx, 10, false},
    {"serialize", FeatureWord::Leaf7Edx, 14, false},
    {"tsx-ldtrk", FeatureWord::Leaf7Edx, 16, false},
    {"spec-ctrl", FeatureWord::Leaf7Edx, 26, false},
    {"stibp", FeatureWord::Leaf7Edx, 27, false},
    {"arch-capabilities", FeatureWord::Leaf7Edx, 29, false},
    {"core-capability", FeatureWord::Leaf7Edx, 30, false},
    {"ssbd", FeatureWord::Leaf7Edx, 31, false},
    {"xsaveopt", FeatureWord::LeafDEax, 0, true, Feature::Xsaveopt},
    {"xsavec", FeatureWord::LeafDEax, 1, true, Feature::Xsavec},
    {"xgetbv1", FeatureWord::LeafDEax, 2, true, Feature::Xgetbv1},
    {"xsaves", FeatureWord::LeafDEax, 3, true, Feature::Xsaves},
    {"syscall", FeatureWord::Leaf80000001Edx, 11, true, Feature::Syscall},
    {"mp", FeatureWord::Leaf80000001Edx, 19, false},
    {"nx", FeatureWord::Leaf80000001Edx, 20, true, Feature::Nx},
    {"mmxext", FeatureWord::Leaf80000001Edx, 22, true},
    {"fxsr-opt", FeatureWord::Leaf80000001Edx, 25, false},
    {"pdpe1gb", FeatureWord::Leaf80000001Edx, 26, true, Feature::Pdpe1gb},
    {"rdtscp", FeatureWord::Leaf80000001Edx, 27, true, Feature::Rdtscp},
    {"lm", FeatureWord::Leaf80000001Edx, 29, true, Feature::LongMode},
    {"3dnowext", FeatureWord::Leaf80000001Edx, 30, false},
    {"3dnow", FeatureWord::Leaf80000001Edx, 31, false, Feature::ThreeDNow},
    {"lahf-lm", FeatureWord::Leaf80000001Ecx, 0, true, Feature::LahfLm},
    {"cmp-legacy", FeatureWord::Leaf80000001Ecx, 1, true},
    {"svm", FeatureWord::Leaf80000001Ecx, 2, false, Feature::Svm},
    {"extapic", FeatureWord::Leaf80000001Ecx, 3, false},
    {"cr8legacy", FeatureWord::Leaf80000001Ecx, 4, false},
    {"abm", FeatureWord::Leaf80000001Ecx, 5, true, Feature::Abm},
    {"sse4a", FeatureWord::Leaf80000001Ecx, 6, true, Feature::Sse4a},
    {"misalignsse", FeatureWord::Leaf80000001Ecx, 7, false},
    {"3dnowprefetch", FeatureWord::Leaf80000001Ecx, 8, true, Feature::Prefetchw},
    {"osvw", FeatureWord::Leaf80000001Ecx, 9, false},
    {"ibs", FeatureWord::Leaf80000001Ecx, 10, false},
    {"xop", FeatureWord::Leaf80000001Ecx, 11, false},
    {"skinit", FeatureWord::Leaf80000001Ecx, 12, false},
    {"wdt", FeatureWord::Leaf80000001Ecx, 13, false},
    {"lwp", FeatureWord::Leaf80000001Ecx, 15, false},
    {"fma4", FeatureWord::Leaf80000001Ecx, 16, false},
    {"tce", FeatureWord::Leaf80000001Ecx, 17, false},
    {"nodeid-msr", FeatureWord::Leaf80000001Ecx, 19, false},
    {"tbm", FeatureWord::Leaf80000001Ecx, 21, false},
    {"topoext", FeatureWord::Leaf80000001Ecx, 22, false},
    {"perfctr-core", FeatureWord::Leaf80000001Ecx, 23, false},
    {"perfctr-nb", FeatureWord::Leaf80000001Ecx, 24, false},
    {"invtsc", FeatureWord::Leaf80000007Edx, 8, true},
    {"clzero", FeatureWord::Leaf80000008Ebx, 0, false},
    {"xsaveerptr", FeatureWord::Leaf80000008Ebx, 2, false},
    {"wbnoinvd", FeatureWord::Leaf80000008Ebx, 9, true, Feature::Wbnoinvd},
    {"ibpb", FeatureWord::Leaf80000008Ebx, 12, false},
    {"ibrs", FeatureWord::Leaf80000008Ebx, 14, false},
    {"amd-stibp", FeatureWord::Leaf80000008Ebx, 15, false},
    {"amd-ssbd", FeatureWord::Leaf80000008Ebx, 24, false},
    {"virt-ssbd", FeatureWord::Leaf80000008Ebx, 25, false},
    {"amd-no-ssb", FeatureWord::Leaf80000008Ebx, 26, false},
    // clang-format on
};

constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"sse3", "pni"}, {"sse4-1", "sse4.1"}, {"sse4-2", "sse4.2"},  {"pclmuldq", "pclmulqdq"},
    {"i64", "lm"},   {"xd", "nx"},         {"ffxsr", "fxsr-opt"}, {"sha", "sha-ni"},
};

std::string normalised(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '_', '-');
  return result;
}

}  // namespace

std::span<const FeatureFlag> feature_flags() { return kFlags; }

bool is_supported(const FeatureFlag& flag) {
#if !defined(CALCO_PORTABLE_HOST)
  __builtin_cpu_init();
  switch (flag.feature) {
    case Feature::Avx:  // comparisons with 32 predicates
    case Feature::Avx2:
    case Feature::Vaes:
    case Feature::Vpclmulqdq:
      return __builtin_cpu_supports("avx");
    case Feature::Fma:
      return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
    case Feature::F16c:
      return __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
    default:
      break;
  }
#endif
  return flag.implemented;
}

const FeatureFlag* find_feature(std::string_view name) {
  std::string wanted = normalised(name);
  for (const auto& [alias, real] : kAliases) {
    if (wanted == alias) wanted = real;
  }
  const auto found =
      std::find_if(std::begin(kFlags), std::end(kFlags), [&](const FeatureFlag& flag) { return flag.name == wanted; });
  return found == std::end(kFlags) ? nullptr : found;
}

}  // namespace calco::cpu
