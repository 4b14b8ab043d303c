// Which host register holds what (abi.h), in Xbyak's terms.
#pragma once

#include <xbyak/xbyak.h>

#include <array>

#include "jit/runtime/abi.h"

namespace calco::jit::host {

using Xbyak::Operand;

constexpr int kState = Operand::R13;
constexpr std::array<int, 3> kScratch = {Operand::RBX, Operand::RBP, Operand::R10};

constexpr int kNotPinned = -1;
// Host register of each guest general register.
constexpr std::array<int, 16> kPinned = {
    Operand::RAX,              // RAX
    Operand::RCX,              // RCX
    Operand::RDX,              // RDX
    Operand::R12,              // RBX
    Operand::R15,              // RSP
    Operand::R14,              // RBP
    Operand::RSI,              // RSI
    Operand::RDI,              // RDI
    Operand::R8,               // R8
    Operand::R9,               // R9
    kNotPinned,   kNotPinned,  // R10, R11
    Operand::R11,              // R12
    kNotPinned,   kNotPinned, kNotPinned,
};

// A field of the state at `offset` bytes from the CpuState's first byte.
inline Xbyak::RegExp state(int offset) { return Xbyak::Reg64(kState) + (offset - kStateBias); }
inline Xbyak::RegExp guest_register(unsigned number) { return state(static_cast<int>(number) * 8); }

}  // namespace calco::jit::host
