// Ways from regions to C++ that see all of the host's registers, on an x86-64 host.
#pragma once

#include <xbyak/xbyak.h>

#include <cstddef>

#include "jit/runtime/abi.h"
#include "jit/runtime/state_table.h"

namespace calco::jit {

// Saves the registers, as they were at the call, where rsp then points to (HostRegisters), and restores them. rsp is a
// multiple of 16 in between.
class RegisterFrame {
 public:
  RegisterFrame(Xbyak::CodeGenerator& code, bool has_avx) : code_(code), has_avx_(has_avx) {}

  void save() {
    using namespace Xbyak::util;
    static_assert((kSize + kReturnAddress) % 16 == 0);
    // lea leaves the flags alone.
    code_.lea(rsp, code_.ptr[rsp - kSize]);
    for (int i = 0; i < 16; ++i) {
      if (i != rsp.getIdx()) code_.mov(general(i), Xbyak::Reg64(i));
    }
    code_.lea(rax, code_.ptr[rsp + kSize + kReturnAddress]);
    code_.mov(general(rsp.getIdx()), rax);
    for (int i = 0; i < 16; ++i) {
      has_avx_ ? code_.vmovups(vector(i), Xbyak::Ymm(i)) : code_.movups(vector(i), Xbyak::Xmm(i));
    }
    if (has_avx_) code_.vzeroupper();
  }
  void restore() {
    using namespace Xbyak::util;
    for (int i = 0; i < 16; ++i) {
      has_avx_ ? code_.vmovups(Xbyak::Ymm(i), vector(i)) : code_.movups(Xbyak::Xmm(i), vector(i));
    }
    for (int i = 0; i < 16; ++i) {
      if (i != rsp.getIdx()) code_.mov(Xbyak::Reg64(i), general(i));
    }
    code_.lea(rsp, code_.ptr[rsp + kSize]);
  }
  Xbyak::Address general(int number) const {
    return code_.ptr[Xbyak::util::rsp + static_cast<int>(offsetof(HostRegisters, general)) + number * 8];
  }

 private:
  static constexpr int kReturnAddress = 8;
  static constexpr int kSize = sizeof(HostRegisters) + 8;

  Xbyak::Address vector(int number) const {
    return code_.ptr[Xbyak::util::rsp + number * static_cast<int>(HostRegisters::kVectorBytes)];
  }

  Xbyak::CodeGenerator& code_;
  const bool has_avx_;
};

// void(state pointer, const StateTable*): put_state; every register is kept.
inline void emit_put_state(Xbyak::CodeGenerator& code, bool has_avx) {
  using namespace Xbyak::util;
  RegisterFrame frame(code, has_avx);
  frame.save();
  code.sub(rdi, kStateBias);
  code.mov(rdx, rsp);
  code.mov(rax, reinterpret_cast<uint64_t>(&put_state));
  code.call(rax);
  frame.restore();
  code.ret();
}

}  // namespace calco::jit
