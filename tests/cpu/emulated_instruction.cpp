#include "tests/cpu/emulated_instruction.h"

#include <cstring>

#include "cpu/decode/instruction.h"

namespace calco::cpu::test {

EmulatedInstruction::EmulatedInstruction() {
  enter_64_bit_mode();
  map_memory_like_host();
  set_up_exceptions();
}

void EmulatedInstruction::map_memory_like_host() {
  constexpr uint64_t kPresentWritable = 3;
  const auto linear = reinterpret_cast<uint64_t>(memory());
  uint64_t table = kTables;
  for (unsigned level = 0; level < 3; ++level) {
    const uint64_t next = kMoreTables + level * 0x1000;
    map.write_value<uint64_t>(table + (linear >> (39 - 9 * level) & 0x1FF) * 8, next | kPresentWritable);
    table = next;
  }
  map.write_value<uint64_t>(table + (linear >> 12 & 0x1FF) * 8, kData | kPresentWritable);
  cpu->mmu().flush_all();
}

// A handler for each exception vector: nothing runs there, its address tells the vector.
void EmulatedInstruction::set_up_exceptions() {
  constexpr uint64_t kIdt = kMoreTables + 0x4000, kGdt = kMoreTables + 0x5000;
  constexpr uint64_t kInterruptGate = 0x8E, kCodeSelector = 8;
  constexpr uint64_t kCode64 = 0x00AF9B000000FFFF;
  for (uint64_t vector = 0; vector < 32; ++vector) {
    const uint64_t handler = kHandlers + vector * 16;
    map.write_value<uint64_t>(kIdt + vector * 16, (handler & 0xFFFF) | kCodeSelector << 16 | kInterruptGate << 40 |
                                                      (handler >> 16 & 0xFFFF) << 48);
    map.write_value<uint64_t>(kIdt + vector * 16 + 8, 0);
  }
  map.write_value<uint64_t>(kGdt + kCodeSelector, kCode64);
  cpu->idtr = {.base = kIdt, .limit = 32 * 16 - 1};
  cpu->gdtr = {.base = kGdt, .limit = 15};
}

HostFault EmulatedInstruction::run(std::span<const uint8_t> bytes, HostState& state) {
  load_code(bytes);
  load(state);
  cpu->run_instructions(1);
  const HostFault fault = fault_taken();
  store(state);
  return fault;
}

void EmulatedInstruction::load(const HostState& state) {
  for (unsigned i = 0; i < 16; ++i) cpu->registers[i] = state.registers[i];
  cpu->registers[kRsp] = kStack;
  cpu->registers[kRip] = kCode;
  set_rflags_value(*cpu, state.flags & ~rflags::kIf);
  for (unsigned i = 0; i < 16; ++i) std::memcpy(cpu->vectors[i].bytes.data(), &state.fx.xmm[2 * i], 16);
  cpu->mxcsr = state.fx.mxcsr;
  constexpr unsigned kTopShift = 11, kTop = 7;
  X87State& x87 = cpu->x87;
  x87.control = state.fx.control;
  x87.status = static_cast<uint16_t>(state.fx.status & ~(kTop << kTopShift));
  x87.top = static_cast<uint8_t>(state.fx.status >> kTopShift & kTop);
  x87.empty = static_cast<uint8_t>(~state.fx.valid);
  for (unsigned i = 0; i < 8; ++i) {
    x87.physical[(x87.top + i) & kTop].significand = state.fx.st[i].significand;
    x87.physical[(x87.top + i) & kTop].sign_exponent = state.fx.st[i].sign_exponent;
  }
}

void EmulatedInstruction::store(HostState& state) const {
  for (unsigned i = 0; i < 16; ++i) state.registers[i] = cpu->registers[i];
  state.flags = rflags_value(*cpu);
  for (unsigned i = 0; i < 16; ++i) std::memcpy(&state.fx.xmm[2 * i], cpu->vectors[i].bytes.data(), 16);
  state.fx.mxcsr = cpu->mxcsr;
  const X87State& x87 = cpu->x87;
  state.fx.control = x87.control;
  state.fx.status = static_cast<uint16_t>(x87.status | x87.top << 11);
  state.fx.valid = static_cast<uint8_t>(~x87.empty);
  for (unsigned i = 0; i < 8; ++i) {
    state.fx.st[i].significand = x87.physical[(x87.top + i) & 7].significand;
    state.fx.st[i].sign_exponent = x87.physical[(x87.top + i) & 7].sign_exponent;
  }
}

HostFault EmulatedInstruction::fault_taken() const {
  const uint64_t rip = cpu->registers[kRip];
  if (rip < kHandlers || rip >= kHandlers + 32 * 16) return HostFault::None;
  switch ((rip - kHandlers) / 16) {
    case kInvalidOpcode:
      return HostFault::InvalidOpcode;
    case kSimdError:
    case kX87Error:
      return HostFault::FloatingPoint;
    default:
      return HostFault::Protection;
  }
}

std::string EmulatedInstruction::name(std::span<const uint8_t> bytes) {
  decode::Instruction instruction;
  decode::FeatureSet all;
  all.set();
  decode::decode(bytes, decode::CodeSize::Bits64, all, instruction);
  return std::string(decode::name(instruction.mnemonic));
}

}  // namespace calco::cpu::test
