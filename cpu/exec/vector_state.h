// Checks that all x87, MMX and SSE instructions make before they touch their registers.
#pragma once

#include "cpu/cpu.h"

namespace calco::cpu {

// x87 and MMX: CR0.EM or TS gives #NM (x87) or #UD for EM (MMX); SDM vol. 3, 2.5, tables 2-2 and 12-1.
inline void check_x87_available(Cpu& cpu) {
  if ((cpu.cr0 & (cr0::kEm | cr0::kTs)) != 0) cpu.raise(kDeviceNotAvailable);
}
inline void check_mmx_available(Cpu& cpu) {
  if ((cpu.cr0 & cr0::kEm) != 0) cpu.raise(kInvalidOpcode);
  if ((cpu.cr0 & cr0::kTs) != 0) cpu.raise(kDeviceNotAvailable);
  // MMX instructions report a pending x87 exception (status word, bit 7: ES; SDM vol. 1, 9.5.2).
  if ((cpu.x87.status & 0x80) != 0) cpu.raise(kX87Error);
}
// SSE: needs CR4.OSFXSR and CR0.EM clear (#UD), CR0.TS clear (#NM); SDM vol. 3, 13.1.
[[noreturn, gnu::noinline, gnu::cold]] inline void raise_sse_unavailable(Cpu& cpu) {
  const bool not_enabled = (cpu.cr0 & cr0::kEm) != 0 || (cpu.cr4 & cr4::kOsfxsr) == 0;
  cpu.raise(not_enabled ? kInvalidOpcode : kDeviceNotAvailable);
}
inline void check_sse_available(Cpu& cpu) {
  if ((cpu.cr0 & (cr0::kEm | cr0::kTs)) != 0 || (cpu.cr4 & cr4::kOsfxsr) == 0) [[unlikely]]
    raise_sse_unavailable(cpu);
}

// AVX: needs XCR0 to enable SSE and AVX state and CR4.OSXSAVE (#UD), CR0.TS clear (#NM); SDM vol. 2, 2.4. Real and
// virtual-8086 mode the decoder has ruled out.
[[noreturn, gnu::noinline, gnu::cold]] inline void raise_avx_unavailable(Cpu& cpu) {
  const bool enabled = (cpu.cr4 & cr4::kOsxsave) != 0 && (cpu.xcr0 & 6) == 6;
  cpu.raise(enabled ? kDeviceNotAvailable : kInvalidOpcode);
}
inline void check_avx_available(Cpu& cpu) {
  if ((cpu.cr0 & cr0::kTs) != 0 || (cpu.cr4 & cr4::kOsxsave) == 0 || (cpu.xcr0 & 6) != 6) [[unlikely]]
    raise_avx_unavailable(cpu);
}

}  // namespace calco::cpu
