#include "tests/oracle/host_vector_runner.h"

#include <immintrin.h>

#include <array>
#include <cstring>
#include <initializer_list>

namespace calco::oracle {

using jit::ir::HostVectorInstruction;
using Source = HostVectorInstruction::Source;

namespace {

constexpr uint8_t kRax = 0, kRcx = 1;

// The vector registers as the code below loads and stores them.
using Registers = std::array<cpu::VectorRegister, 16>;
using Code = uint64_t (*)(Registers* registers, uint64_t argument, uint64_t* flags);

}  // namespace

// RDI: registers; RSI: argument, which goes to RAX; RDX: where flags go; the result comes from RCX.
class HostVectorRunner::Encoder {
 public:
  Encoder(uint8_t* code, const HostVectorInstruction& instruction) : at_(code), instruction_(instruction) {}

  void emit() {
    bytes({0x48, 0x89, 0xF0});  // mov rax, rsi
    for (uint8_t number = 0; number < 16; ++number) move_register(kLoad, number);
    emit_instruction();
    bytes({0x9C, 0x8F, 0x02});  // pushfq; pop [rdx]
    for (uint8_t number = 0; number < 16; ++number) move_register(kStore, number);
    if (wide_registers_) bytes({0xC5, 0xF8, 0x77});  // vzeroupper
    bytes({0x48, 0x89, 0xC8, 0xC3});                 // mov rax, rcx; ret
  }

 private:
  static constexpr uint8_t kLoad = 0x10, kStore = 0x11;  // MOVUPS, VMOVUPS

  void bytes(std::initializer_list<uint8_t> values) {
    for (const uint8_t value : values) *at_++ = value;
  }
  void vex(uint8_t reg, uint8_t rm, uint8_t map, bool wide, uint8_t vvvv, bool long_vector, uint8_t prefix) {
    const uint8_t selector = prefix == 0x66 ? 1 : prefix == 0xF3 ? 2 : prefix == 0xF2 ? 3 : 0;
    bytes({0xC4, static_cast<uint8_t>((reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | map),
           static_cast<uint8_t>((wide ? 0x80 : 0) | (~vvvv & 15) << 3 | (long_vector ? 4 : 0) | selector)});
  }
  // [rdi + number * 32]
  void move_register(uint8_t opcode, uint8_t number) {
    if (wide_registers_) {
      vex(number, 0, 1, false, 0, true, 0);
    } else {
      bytes({static_cast<uint8_t>(0x40 | (number >= 8 ? 4 : 0)), 0x0F});
    }
    bytes({opcode, static_cast<uint8_t>(0x87 | (number & 7) << 3)});
    const uint32_t displacement = number * 32u;
    std::memcpy(at_, &displacement, 4);
    at_ += 4;
  }
  void emit_instruction() {
    const HostVectorInstruction& host = instruction_;
    const uint8_t reg = host.reg_is_general ? kRcx : host.reg;
    const uint8_t rm = host.rm_is_general_result ? kRcx : host.source == Source::Vector ? host.rm : kRax;
    if (host.vex) {
      vex(reg, rm, host.map, host.wide, host.vvvv, host.long_vector, host.prefix);
    } else {
      if (host.prefix != 0) bytes({host.prefix});
      bytes({static_cast<uint8_t>(0x40 | (host.wide ? 8 : 0) | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0)), 0x0F});
      if (host.map == 2) bytes({0x38});
      if (host.map == 3) bytes({0x3A});
    }
    const bool memory = host.source == Source::Memory;
    bytes({host.opcode, static_cast<uint8_t>((memory ? 0 : 0xC0) | (reg & 7) << 3 | (rm & 7))});
    if (host.has_immediate) bytes({host.immediate});
  }

  uint8_t* at_;
  const HostVectorInstruction& instruction_;
  const bool wide_registers_ = __builtin_cpu_supports("avx");
};

uint64_t HostVectorRunner::run(cpu::CpuState& state, const HostVectorInstruction& instruction, uint64_t argument) {
  Encoder(code_.bytes(), instruction).emit();
  Registers registers;
  std::memset(registers.data(), 0xA5, sizeof(registers));
  // Legacy instructions know nothing of the upper halves.
  const size_t size = instruction.vex ? 32 : 16;
  for (unsigned i = 0; i < 16; ++i) {
    if ((instruction.reads >> i & 1) != 0) std::memcpy(&registers[i], &state.vectors[i], size);
  }
  uint64_t flags = 0;
  const uint32_t host_mxcsr = _mm_getcsr();
  _mm_setcsr(state.mxcsr);
  const uint64_t result = reinterpret_cast<Code>(code_.bytes())(&registers, argument, &flags);
  state.mxcsr = _mm_getcsr();
  _mm_setcsr(host_mxcsr);
  for (unsigned i = 0; i < 16; ++i) {
    if ((instruction.writes >> i & 1) != 0) std::memcpy(&state.vectors[i], &registers[i], size);
  }
  return instruction.sets_flags ? flags & cpu::rflags::kArithmetic : result;
}

}  // namespace calco::oracle
