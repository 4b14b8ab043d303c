// SSE4a bit fields: EXTRQ, INSERTQ (AMD APM vol. 4). In plain C++, as few hosts have them.
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;
using decode::OperandKind;

// Length in bits 0-5 (0 means 64), index of the lowest bit in bits 8-13.
struct Field {
  unsigned index;
  uint64_t mask;
};
Field field(uint64_t length, uint64_t index) {
  const unsigned bits = length & 0x3F;
  return {static_cast<unsigned>(index & 0x3F), bits == 0 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1};
}
Field field_of_immediates(const Op& op) { return field(op.immediate, op.immediate >> 32); }
Field field_of_register(uint64_t descriptor) { return field(descriptor, descriptor >> 8); }

// The upper half of the result is undefined; processors clear it.
void extract(Cpu& cpu, uint8_t number, Field chosen) {
  set_xmm(cpu, number, from_qword(low_qword(xmm(cpu, number)) >> chosen.index & chosen.mask));
}
void insert(Cpu& cpu, const Op& op, Field chosen) {
  const uint64_t kept = low_qword(xmm(cpu, op.reg)) & ~(chosen.mask << chosen.index);
  const uint64_t inserted = (low_qword(xmm(cpu, op.rm)) & chosen.mask) << chosen.index;
  set_xmm(cpu, op.reg, from_qword(kept | inserted));
}

void extrq_immediates(Cpu& cpu, const Op& op, TlbEntry*) { extract(cpu, op.rm, field_of_immediates(op)); }
void extrq(Cpu& cpu, const Op& op, TlbEntry*) { extract(cpu, op.reg, field_of_register(low_qword(xmm(cpu, op.rm)))); }
void insertq_immediates(Cpu& cpu, const Op& op, TlbEntry*) { insert(cpu, op, field_of_immediates(op)); }
void insertq(Cpu& cpu, const Op& op, TlbEntry*) { insert(cpu, op, field_of_register(high_qword(xmm(cpu, op.rm)))); }

}  // namespace

Selection select_bit_field(const Instruction& instruction, Op&) {
  const bool in_register =
      instruction.operands[1].kind == OperandKind::Vector && instruction.operands[2].kind == OperandKind::None;
  switch (instruction.mnemonic) {
    case Mnemonic::Extrq:
      return in_register ? select_sse<extrq>() : select_sse<extrq_immediates>();
    case Mnemonic::Insertq:
      return in_register ? select_sse<insertq>() : select_sse<insertq_immediates>();
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
