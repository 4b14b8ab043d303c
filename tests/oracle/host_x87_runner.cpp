#include "tests/oracle/host_x87_runner.h"

#include <initializer_list>

#include "jit/runtime/x87_unit.h"

namespace calco::oracle {

using jit::ir::HostX87Instruction;
using Argument = HostX87Instruction::Argument;

namespace {

// RDI: host address, or condition; RSI: where flags go.
using Code = uint64_t (*)(uint64_t argument, uint64_t* flags);

class Encoder {
 public:
  explicit Encoder(uint8_t* code) : at_(code) {}

  void emit(const HostX87Instruction& x87) {
    constexpr uint8_t kRdi = 7;
    if (x87.argument == Argument::Condition) bytes({0x40, 0xF6, 0xC7, 0x01});  // test dil, 1
    bytes({x87.opcode});
    if (x87.argument == Argument::Memory || x87.argument == Argument::ControlWord) {
      bytes({static_cast<uint8_t>((x87.modrm & 0x38) | kRdi)});
    } else if (x87.opcode != HostX87Instruction::kWait) {
      bytes({x87.modrm});
    }
    bytes({0x9C, 0x8F, 0x06, 0xC3});  // pushfq; pop [rsi]; ret
  }

 private:
  void bytes(std::initializer_list<uint8_t> values) {
    for (const uint8_t value : values) *at_++ = value;
  }

  uint8_t* at_;
};

}  // namespace

uint64_t HostX87Runner::run(cpu::CpuState& state, const jit::ir::Block& block, const jit::ir::Instruction& instruction,
                            uint64_t argument, uint64_t effective_address) {
  const HostX87Instruction& x87 = block.x87[instruction.immediate];
  const auto control_word = static_cast<uint16_t>(argument);
  if (x87.argument == Argument::ControlWord) argument = reinterpret_cast<uint64_t>(&control_word);
  Encoder(code_.bytes()).emit(x87);
  jit::enter_x87(state);
  uint64_t flags = 0;
  const uint64_t result = reinterpret_cast<Code>(code_.bytes())(argument, &flags);
  if (x87.is_recorded) {
    state.x87_residence.page = state.registers[cpu::kRip];
    state.x87_residence.last = block.guest[instruction.guest].page_offset | uint32_t{x87.recorded_opcode} << 16;
    if (instruction.arguments[1] != jit::ir::kNoValue) {
      state.x87.data_pointer = effective_address;
      state.x87_residence.data_segment = x87.data_segment;
    }
  }
  jit::leave_x87(state);
  return x87.sets_flags ? flags & (cpu::rflags::kCf | cpu::rflags::kPf | cpu::rflags::kZf) : result & 0xFFFF;
}

}  // namespace calco::oracle
