// The way from translated code to put_state (state_table.h) on an x86-64 host.
#pragma once

#include <xbyak/xbyak.h>

#include <cstddef>

#include "jit/runtime/abi.h"
#include "jit/runtime/state_table.h"

namespace calco::jit {

// Emits void(state pointer, const StateTable*): every register is kept and seen as it was at the call.
inline void emit_put_state(Xbyak::CodeGenerator& code, bool has_avx) {
  using namespace Xbyak::util;
  constexpr int kGeneral = offsetof(HostRegisters, general);
  constexpr int kSize = sizeof(HostRegisters);
  constexpr int kReturnAddress = 8;
  static_assert((kSize + kReturnAddress) % 16 == 8, "one more push aligns the stack");
  auto slot = [&](int number) { return code.ptr[rsp + kGeneral + number * 8]; };
  auto vector = [&](int number) { return code.ptr[rsp + number * static_cast<int>(HostRegisters::kVectorBytes)]; };
  // lea leaves the flags alone.
  code.lea(rsp, code.ptr[rsp - kSize - 8]);
  for (int i = 0; i < 16; ++i) {
    if (i != rsp.getIdx()) code.mov(slot(i), Xbyak::Reg64(i));
  }
  code.lea(rax, code.ptr[rsp + kSize + 8 + kReturnAddress]);
  code.mov(slot(rsp.getIdx()), rax);
  for (int i = 0; i < 16; ++i) has_avx ? code.vmovups(vector(i), Xbyak::Ymm(i)) : code.movups(vector(i), Xbyak::Xmm(i));
  if (has_avx) code.vzeroupper();
  code.sub(rdi, kStateBias);
  code.mov(rdx, rsp);
  code.mov(rax, reinterpret_cast<uint64_t>(&put_state));
  code.call(rax);
  for (int i = 0; i < 16; ++i) has_avx ? code.vmovups(Xbyak::Ymm(i), vector(i)) : code.movups(Xbyak::Xmm(i), vector(i));
  for (int i = 0; i < 16; ++i) {
    if (i != rsp.getIdx()) code.mov(Xbyak::Reg64(i), slot(i));
  }
  code.lea(rsp, code.ptr[rsp + kSize + 8]);
  code.ret();
}

}  // namespace calco::jit
