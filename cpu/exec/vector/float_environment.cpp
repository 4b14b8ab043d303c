#include "cpu/exec/vector/float_environment.h"

namespace calco::cpu::vector {

void report_exceptions(Cpu& cpu, uint32_t flags) {
  constexpr uint32_t kOfOperands = mxcsr::kInvalid | mxcsr::kDenormal | mxcsr::kZeroDivide;
  const uint32_t unmasked = ~(cpu.mxcsr >> mxcsr::kMaskShift) & mxcsr::kFlags;
  const uint32_t reported = (flags & unmasked & kOfOperands) != 0 ? flags & kOfOperands : flags;
  cpu.mxcsr |= reported;
  if ((reported & unmasked) == 0) return;
  cpu.raise((cpu.cr4 & cr4::kOsxmmexcpt) != 0 ? kSimdError : kInvalidOpcode);
}

}  // namespace calco::cpu::vector
