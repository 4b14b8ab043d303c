#include "jit/frontend/host_features.h"

namespace calco::jit {

bool host_has(decode::Feature feature) {
  switch (feature) {
    case decode::Feature::Sse:
    case decode::Feature::Sse2:
      return true;
    case decode::Feature::Sse3:
      return __builtin_cpu_supports("sse3");
    case decode::Feature::Ssse3:
      return __builtin_cpu_supports("ssse3");
    case decode::Feature::Sse41:
      return __builtin_cpu_supports("sse4.1");
    case decode::Feature::Sse42:
      return __builtin_cpu_supports("sse4.2");
    case decode::Feature::Aes:
      return __builtin_cpu_supports("aes");
    case decode::Feature::Pclmulqdq:
      return __builtin_cpu_supports("pclmul");
    case decode::Feature::Sha:
      return __builtin_cpu_supports("sha");
    case decode::Feature::Avx:
      return __builtin_cpu_supports("avx");
    case decode::Feature::Avx2:
      return __builtin_cpu_supports("avx2");
    case decode::Feature::Fma:
      return __builtin_cpu_supports("fma");
    case decode::Feature::F16c:
      return __builtin_cpu_supports("f16c");
    default:
      return false;  // SSE4A and 3DNow! among them
  }
}

// VEX forms of AES and PCLMULQDQ count as AVX, but need the host's AES and PCLMULQDQ too.
bool host_executes(const decode::Row& row, const ir::HostVectorInstruction&) {
  const bool aes = (row.map == decode::OpcodeMap::Vex0F38 && row.opcode >= 0xDB && row.opcode <= 0xDF) ||
                   (row.map == decode::OpcodeMap::Vex0F3A && row.opcode == 0xDF);
  const bool multiplies_without_carry = row.map == decode::OpcodeMap::Vex0F3A && row.opcode == 0x44;
  return host_has(row.feature) && (!aes || host_has(decode::Feature::Aes)) &&
         (!multiplies_without_carry || host_has(decode::Feature::Pclmulqdq));
}

bool host_has_x87() { return true; }

}  // namespace calco::jit
