// What instructions need around them to do something: targets, counts, selectors, operand values.
#include <algorithm>
#include <cstring>

#include "cpu/state.h"
#include "tests/oracle/instruction_maker.h"
#include "tests/oracle/segments.h"

namespace calco::oracle {

using decode::Instruction;
using decode::Mnemonic;
using decode::OperandKind;
using namespace cpu;

// Where a branch may go, as an offset into CS: into INT3s, to the end of the test, or where fetching faults.
uint64_t InstructionMaker::branch_target() {
  const uint64_t base = base_of(kCs);
  switch (random_.below(12)) {
    case 0:
      return kData + random_.below(kPage) - base;  // no execute
    case 1:
      return kDataEnd + random_.below(kPage) - base;
    case 2:
      if (!code_64_ || faults_ == 0) return kDataEnd - base;
      return random_.percent(50) ? random_.next() : 0x800000000000 - random_.below(2);
    case 3:
    case 4:
    case 5:
      return kCodeEnd - 16 + random_.below(20) - base;
    default:
      return code_64_ ? kExit : kCode + random_.below(40) - base;
  }
}

void InstructionMaker::prepare_string() {
  const Instruction& instruction = out_.decoded;
  unsigned size = 1;
  for (const auto& operand : instruction.operands) {
    if (operand.kind == OperandKind::Memory) size = operand.size;
  }
  const bool repeats = instruction.repeat || instruction.repeat_not;
  uint64_t count = random_.below(20);
  if (random_.percent(3)) count = random_.below(2000);
  if (random_.percent(2)) count = random_.integer();
  if (repeats) set(kRcx, count);
  const unsigned room = std::min(size * 20, 512u);
  uint64_t source = choose_target(room, 1), destination = choose_target(room, 1);
  if (random_.percent(25)) destination = source + random_.below(64) - 32;  // overlap
  const unsigned segment = instruction.segment_override != kNoSegment ? instruction.segment_override : unsigned{kDs};
  const uint64_t mask =
      instruction.address_size == 8 ? ~uint64_t{0} : (uint64_t{1} << instruction.address_size * 8) - 1;
  set(kRsi, ((source - base_of(segment)) & mask) | noise(instruction.address_size));
  set(kRdi, ((destination - base_of(kEs)) & mask) | noise(instruction.address_size));
  // Equal parts, so that comparisons go on for a while.
  if (random_.percent(60)) {
    std::vector<uint8_t> pattern(room, static_cast<uint8_t>(random_.below(3)));
    if (random_.percent(50)) pattern[random_.below(room)] ^= 0x80;
    poke(source, pattern);
    pattern[random_.below(room)] ^= static_cast<uint8_t>(random_.below(3));
    poke(destination, pattern);
    if (random_.percent(50)) set(kRax, pattern[0] * 0x0101010101010101);
  }
}

void InstructionMaker::prepare_branch() {
  const Instruction& instruction = out_.decoded;
  const auto& operand = instruction.operands[0];
  switch (operand.kind) {
    case OperandKind::Relative:
      out_.branch_size = operand.size;
      out_.branch_at = static_cast<unsigned>(out_.bytes.size() - operand.size);
      break;
    case OperandKind::General:
      set(operand.number, branch_target());
      // ESP's upper half is the host area's on a 16-bit stack.
      if (operand.number == kRsp && !code_64_ && initial_.stack_selector == kLocalData16) out_.unwanted = true;
      break;
    case OperandKind::Memory:
      poke_value(out_.memory_target, branch_target());
      break;
    default:
      break;
  }
}

// Between the modes, to the end of the test, or to a selector that is none.
InstructionMaker::FarTarget InstructionMaker::far_target() {
  static constexpr uint16_t kCodeSelectors[] = {kCode64Selector, kCode32Selector, kLocalCode16, kLocalCode32};
  const uint16_t selector = random_.pick(kCodeSelectors);
  const uint64_t breakpoints = kCode + random_.below(40) - segment_base(selector);
  switch (random_.below(8)) {
    case 0:
    case 1:
      return {kExit, kCode64Selector};
    case 2:
      return {breakpoints, random_selector(random_)};
    case 3:
      return {random_.percent(50) ? kData : random_.integer(), kCode64Selector};
    case 4:
      return {kDataEnd + 8 - segment_base(selector), selector};
    default:
      return {breakpoints, selector};
  }
}

void InstructionMaker::prepare_far_transfer() {
  const FarTarget target = far_target();
  const unsigned size = std::min<unsigned>(out_.decoded.operand_size, 4);
  std::array<uint8_t, 6> pointer{};
  std::memcpy(pointer.data(), &target.offset, size);
  std::memcpy(pointer.data() + size, &target.selector, 2);
  // The host pushes as the new mode does: with its width of RSP, and without SS' base in 64-bit mode.
  const bool odd_stack = out_.decoded.memory.base == kRsp || base_of(kSs) != 0;
  if (out_.decoded.mnemonic == Mnemonic::CallFar && odd_stack) out_.unwanted = true;
  const std::span used(pointer.data(), size + 2);
  if (out_.decoded.has_memory()) {
    poke(out_.memory_target, used);
  } else {
    std::copy(used.begin(), used.end(), out_.bytes.end() - static_cast<ptrdiff_t>(used.size()));
  }
}

// RIP and CS, then for IRET RFLAGS, RSP and SS, in slots of the operand size.
void InstructionMaker::prepare_far_return(bool interrupt) {
  const FarTarget target = far_target();
  const uint16_t stack_selector = random_.percent(80) ? kDataSelector : random_selector(random_);
  uint64_t flags = random_.percent(80) ? (random_.next() & 0xCD5) | 0x202 : random_.next() & ~rflags::kAc;
  // At kExit there is other code on the host than in the interpreter.
  if (target.offset == kExit) flags &= ~(rflags::kTf | rflags::kRf);
  // In which order the slots are read is not written anywhere, so all must be readable.
  const uint64_t rsp = kStack + random_.below(64);
  set(kRsp, rsp - base_of(kSs));
  if (!interrupt && out_.decoded.operands[0].kind == OperandKind::Immediate) {
    out_.bytes.back() = 0;
  }
  const uint64_t slots[] = {target.offset, target.selector, flags, kStack + random_.below(16) * uint64_t{8},
                            stack_selector};
  const unsigned size = out_.decoded.operand_size;
  for (unsigned i = 0; i < (interrupt ? 5 : 2); ++i) {
    poke(rsp + uint64_t{i} * size, {reinterpret_cast<const uint8_t*>(&slots[i]), size});
  }
}

void InstructionMaker::prepare_frame() {
  set(kRbp, choose_target(64, 8) - base_of(kSs));
  if (out_.decoded.mnemonic != Mnemonic::Enter) return;
  const size_t size = out_.bytes.size();
  out_.bytes[size - 2] = random_.percent(80) ? 0 : static_cast<uint8_t>(random_.below(256));
  out_.bytes[size - 1] = static_cast<uint8_t>(random_.below(random_.percent(90) ? 5 : 256));
}

// A dividend whose quotient often fits.
void InstructionMaker::prepare_division() {
  if (random_.percent(30)) return;
  const unsigned bits = out_.decoded.operands[0].size * 8;
  const uint64_t low = random_.integer();
  const auto sign = static_cast<uint64_t>(static_cast<int64_t>(low << (64 - bits)) >> 63);
  set_operand(kRax, bits == 8 ? random_.below(0x8000) : low);
  set_operand(kRdx, random_.percent(50) ? random_.below(16) : sign);
}

void InstructionMaker::prepare_selectors() {
  for (const auto& operand : out_.decoded.operands) {
    if (operand.kind == OperandKind::General) {
      set_operand(operand.number, (random_.next() & ~uint64_t{0xFFFF}) | random_selector(random_));
    } else if (operand.kind == OperandKind::Memory) {
      poke_value(out_.memory_target, random_selector(random_));
    }
  }
}

void InstructionMaker::prepare_shift() {
  const Instruction& instruction = out_.decoded;
  const bool words = instruction.operand_size == 2;
  const bool is_double = instruction.mnemonic == Mnemonic::Shld || instruction.mnemonic == Mnemonic::Shrd;
  const uint64_t rest = random_.integer() & ~uint64_t{0xFF};
  if (!words || !is_double) {
    if (random_.percent(50)) set_operand(kRcx, rest | random_.below(70));
    return;
  }
  // Words shifted by more than 16 are undefined.
  if (instruction.operands[2].kind == OperandKind::Immediate) {
    out_.bytes.back() &= 0xEF;
  } else {
    if (is_address_register(kRcx)) out_.unwanted = true;
    set(kRcx, rest | random_.below(17));
  }
}

// The host has more components than x87, SSE and AVX.
void InstructionMaker::prepare_components() {
  if (is_address_register(kRax) || is_address_register(kRdx)) out_.unwanted = true;
  set(kRax, random_.below(8));
  set(kRdx, 0);
}

void InstructionMaker::prepare() {
  const Instruction& instruction = out_.decoded;
  if (is_string(*instruction.row)) prepare_string();
  if (is_xsave(*instruction.row)) prepare_components();
  if (instruction.row->group == decode::Group::Shift) prepare_shift();
  switch (instruction.mnemonic) {
    case Mnemonic::Xlat: {
      const uint64_t al = random_.below(256);
      for (RegisterSetting& setting : out_.settings) setting.value -= al;
      set(kRax, (random_.next() & ~uint64_t{0xFF}) | al);
      break;
    }
    case Mnemonic::Loop:
    case Mnemonic::Loope:
    case Mnemonic::Loopne:
    case Mnemonic::Jcxz:
      if (random_.percent(80)) set(kRcx, random_.below(3) | (random_.percent(30) ? random_.next() << 32 : 0));
      prepare_branch();
      break;
    case Mnemonic::Jcc:
    case Mnemonic::Jmp:
    case Mnemonic::Call:
      prepare_branch();
      break;
    case Mnemonic::JmpFar:
    case Mnemonic::CallFar:
      prepare_far_transfer();
      break;
    case Mnemonic::RetFar:
    case Mnemonic::Iret:
      prepare_far_return(instruction.mnemonic == Mnemonic::Iret);
      break;
    case Mnemonic::Enter:
    case Mnemonic::Leave:
      prepare_frame();
      break;
    case Mnemonic::Div:
    case Mnemonic::Idiv:
      prepare_division();
      break;
    case Mnemonic::Mov:
    case Mnemonic::Pop:
    case Mnemonic::Lar:
    case Mnemonic::Lsl:
    case Mnemonic::Verr:
    case Mnemonic::Verw:
    case Mnemonic::Arpl:
      if (instruction.row->group == decode::Group::Segment) prepare_selectors();
      break;
    case Mnemonic::Lds:
    case Mnemonic::Les:
    case Mnemonic::Lfs:
    case Mnemonic::Lgs:
    case Mnemonic::Lss:
      // Behind an offset of 2 or 4 bytes.
      poke_value(out_.memory_target + std::min(out_.memory_size - 2, 4u), random_selector(random_));
      break;
    case Mnemonic::Int:
      if (out_.bytes.back() == 0x80) out_.bytes.back() = 0x81;  // Linux' system call
      break;
    case Mnemonic::Pcmpestri:
    case Mnemonic::Pcmpestrm:
      for (const uint8_t length : {kRax, kRdx}) {
        set_operand(length, random_.percent(90) ? random_.below(40) - uint64_t{20} : random_.integer());
      }
      break;
    default:
      break;
  }
}

}  // namespace calco::oracle
