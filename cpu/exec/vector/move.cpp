// Moves of vector registers (SDM vol. 1, 9.4.1, 10.4.1, 10.4.6, 11.4.1, 11.4.4, 12.3).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;
using decode::OperandKind;

bool stores(const Instruction& instruction) { return instruction.operands[0].kind == OperandKind::Memory; }

// --- Whole registers
// ---------------------------------------------------------------------------------------------------

template <Encoding kEncoding>
void move_whole(Cpu& cpu, const Op& op, TlbEntry*) {
  set_lanes<kEncoding>(cpu, op.reg, lanes<kLanes<kEncoding>>(cpu, op.rm));
}
// The store encoding between registers: ModRM.rm is the destination.
template <Encoding kEncoding>
void move_whole_to_rm(Cpu& cpu, const Op& op, TlbEntry*) {
  set_lanes<kEncoding>(cpu, op.rm, lanes<kLanes<kEncoding>>(cpu, op.reg));
}
template <Encoding kEncoding, Source kSource, Alignment kAlignment>
void load_whole(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  set_lanes<kEncoding>(cpu, op.reg, load_lanes<kEncoding, kSource, kAlignment>(cpu, op, tlb));
}
template <Encoding kEncoding, Source kSource, Alignment kAlignment>
void store_whole(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  store_lanes<kEncoding, kSource, kAlignment>(cpu, op, tlb, lanes<kLanes<kEncoding>>(cpu, op.reg));
}

template <Alignment kAlignment>
Selection whole_memory(const Instruction& instruction, const Op& op) {
  return by_operands_hot(instruction, op, [&]<Encoding kEncoding, Source kSource>() {
    return stores(instruction) ? select_sse<store_whole<kEncoding, kSource, kAlignment>, kEncoding>()
                               : select_sse<load_whole<kEncoding, kSource, kAlignment>, kEncoding>();
  });
}
template <Alignment kAlignment>
Selection whole(const Instruction& instruction, const Op& op) {
  if (op.is_memory) return whole_memory<kAlignment>(instruction, op);
  constexpr uint8_t kMovupsStore = 0x11, kMovapsStore = 0x29, kMovdqStore = 0x7F;
  const bool to_rm =
      instruction.opcode == kMovupsStore || instruction.opcode == kMovapsStore || instruction.opcode == kMovdqStore;
  return by_encoding(instruction, [&]<Encoding kEncoding>() {
    return to_rm ? select_sse<move_whole_to_rm<kEncoding>, kEncoding>()
                 : select_sse<move_whole<kEncoding>, kEncoding>();
  });
}

Selection select_whole(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Movaps:
    case Mnemonic::Movapd:
    case Mnemonic::Movdqa:
    case Mnemonic::Movntps:
    case Mnemonic::Movntpd:
    case Mnemonic::Movntdq:
    case Mnemonic::Movntdqa:
      return whole<Alignment::Natural>(instruction, op);
    case Mnemonic::Movups:
    case Mnemonic::Movupd:
    case Mnemonic::Movdqu:
    case Mnemonic::Lddqu:
      return whole<Alignment::Any>(instruction, op);
    default:
      return {};
  }
}

// --- MOVD, MOVQ
// ------------------------------------------------------------------------------------------------------------

// Into an XMM register, cleared above.
template <typename T, Encoding kEncoding, Source kSource>
void load_low(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  set_result<kEncoding>(cpu, op.reg, from_qword(load_memory<T, kSource>(cpu, op, tlb)));
}
template <typename T, Source kSource>
void store_low(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  store_memory<T, kSource>(cpu, op, tlb, static_cast<T>(low_qword(xmm(cpu, op.reg))));
}
template <typename T>
Selection low_memory(const Instruction& instruction, const Op& op) {
  return by_scalar_encoding(instruction, [&]<Encoding kEncoding>() {
    return by_source_hot(op, [&]<Source kSource>() {
      return stores(instruction) ? select_sse<store_low<T, kSource>, kEncoding>()
                                 : select_sse<load_low<T, kEncoding, kSource>, kEncoding>();
    });
  });
}

template <typename T, Encoding kEncoding>
void general_to_xmm(Cpu& cpu, const Op& op, TlbEntry*) {
  set_result<kEncoding>(cpu, op.reg, from_qword(static_cast<T>(cpu.registers[op.rm])));
}
template <typename T>
void xmm_to_general(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.rm] = static_cast<T>(low_qword(xmm(cpu, op.reg)));
}
template <Encoding kEncoding>
void move_low(Cpu& cpu, const Op& op, TlbEntry*) {
  set_result<kEncoding>(cpu, op.reg, _mm_move_epi64(xmm(cpu, op.rm)));
}
template <Encoding kEncoding>
void move_low_to_rm(Cpu& cpu, const Op& op, TlbEntry*) {
  set_result<kEncoding>(cpu, op.rm, _mm_move_epi64(xmm(cpu, op.reg)));
}

// MOVD is 32 bits wide, or 64 with REX.W where some call it MOVQ.
template <typename T>
Selection xmm_low(const Instruction& instruction, const Op& op) {
  if (op.is_memory) return low_memory<T>(instruction, op);
  return by_scalar_encoding(instruction, [&]<Encoding kEncoding>() {
    if (instruction.operands[0].kind == OperandKind::General) return select_sse<xmm_to_general<T>, kEncoding>();
    if (instruction.operands[1].kind == OperandKind::General)
      return select_sse<general_to_xmm<T, kEncoding>, kEncoding>();
    constexpr uint8_t kMovqStore = 0xD6;
    return instruction.opcode == kMovqStore ? select_sse<move_low_to_rm<kEncoding>, kEncoding>()
                                            : select_sse<move_low<kEncoding>, kEncoding>();
  });
}

template <typename T>
void load_mmx(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  set_mmx(cpu, op.reg, load_memory<T>(cpu, op, tlb));
}
template <typename T>
void store_mmx(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  store_memory(cpu, op, tlb, static_cast<T>(mmx(cpu, op.reg)));
}
template <typename T>
void general_to_mmx(Cpu& cpu, const Op& op, TlbEntry*) {
  set_mmx(cpu, op.reg, static_cast<T>(cpu.registers[op.rm]));
}
template <typename T>
void mmx_to_general(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.rm] = static_cast<T>(mmx(cpu, op.reg));
}
void move_mmx(Cpu& cpu, const Op& op, TlbEntry*) { set_mmx(cpu, op.reg, mmx(cpu, op.rm)); }
void move_mmx_to_rm(Cpu& cpu, const Op& op, TlbEntry*) { set_mmx(cpu, op.rm, mmx(cpu, op.reg)); }

template <typename T>
Selection mmx_whole(const Instruction& instruction, const Op& op) {
  if (op.is_memory) return stores(instruction) ? select_mmx<store_mmx<T>>() : select_mmx<load_mmx<T>>();
  if (instruction.operands[0].kind == OperandKind::General) return select_mmx<mmx_to_general<T>>();
  if (instruction.operands[1].kind == OperandKind::General) return select_mmx<general_to_mmx<T>>();
  constexpr uint8_t kMovqStore = 0x7F;
  return instruction.opcode == kMovqStore ? select_mmx<move_mmx_to_rm>() : select_mmx<move_mmx>();
}

void movq2dq(Cpu& cpu, const Op& op, TlbEntry*) { set_xmm(cpu, op.reg, from_qword(mmx(cpu, op.rm))); }
void movdq2q(Cpu& cpu, const Op& op, TlbEntry*) { set_mmx(cpu, op.reg, low_qword(xmm(cpu, op.rm))); }

bool touches_mmx(const Instruction& instruction) {
  return instruction.operands[0].kind == OperandKind::Mmx || instruction.operands[1].kind == OperandKind::Mmx;
}
// Width of the operand that is not the vector register; MOVQ between vector registers has 8 bytes.
bool is_dword(const Instruction& instruction) {
  return instruction.mnemonic == Mnemonic::Movd &&
         (instruction.operands[0].size == 4 || instruction.operands[1].size == 4);
}

Selection select_movd_movq(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Movd:
    case Mnemonic::Movq:
      if (touches_mmx(instruction)) {
        return is_dword(instruction) ? mmx_whole<uint32_t>(instruction, op) : mmx_whole<uint64_t>(instruction, op);
      }
      return is_dword(instruction) ? xmm_low<uint32_t>(instruction, op) : xmm_low<uint64_t>(instruction, op);
    case Mnemonic::Movntq:
      return select_mmx<store_mmx<uint64_t>>();
    case Mnemonic::Movq2dq:
      return select_mmx_sse<movq2dq>();
    case Mnemonic::Movdq2q:
      return select_mmx_sse<movdq2q>();
    default:
      return {};
  }
}

// --- Scalars and halves
// ----------------------------------------------------------------------------------------------------

// Between registers the rest comes from the first source, in legacy encodings the destination.
Xmm merge_single(Xmm destination, Xmm source) { return _mm_blend_epi16(destination, source, 0x03); }
Xmm merge_low(Xmm destination, Xmm source) { return _mm_blend_epi16(destination, source, 0x0F); }
Xmm low_to_high(Xmm destination, Xmm source) { return _mm_unpacklo_epi64(destination, source); }
Xmm high_to_low(Xmm destination, Xmm source) { return _mm_unpackhi_epi64(source, destination); }

template <auto FMerge, Encoding kEncoding>
void merge_to_rm(Cpu& cpu, const Op& op, TlbEntry*) {
  const uint8_t first = kEncoding == Encoding::Legacy ? op.rm : op.extra;
  set_result<kEncoding>(cpu, op.rm, FMerge(xmm(cpu, first), xmm(cpu, op.reg)));
}

template <typename T, auto FMerge>
Selection scalar(const Instruction& instruction, const Op& op) {
  if (op.is_memory) return low_memory<T>(instruction, op);
  return by_scalar_encoding(instruction, [&]<Encoding kEncoding>() {
    constexpr uint8_t kStore = 0x11;
    return instruction.opcode == kStore ? select_sse<merge_to_rm<FMerge, kEncoding>, kEncoding>()
                                        : select_sse<xmm_binary<FMerge, 16, kEncoding, Source::Register>, kEncoding>();
  });
}

void store_high(Cpu& cpu, const Op& op, TlbEntry* tlb) { store_memory(cpu, op, tlb, high_qword(xmm(cpu, op.reg))); }

// MOVLPS and MOVHPS load a half and keep the other.
Selection low_half(const Instruction& instruction, const Op& op) {
  return stores(instruction) ? low_memory<uint64_t>(instruction, op) : sse_low_binary<merge_low, 8>(instruction, op);
}
Selection high_half(const Instruction& instruction, const Op& op) {
  return stores(instruction) ? either_encoding<store_high>(instruction)
                             : sse_low_binary<low_to_high, 8>(instruction, op);
}

Xmm duplicate_low(Xmm source) { return _mm_unpacklo_epi64(source, source); }
Xmm duplicate_even_singles(Xmm source) { return _mm_shuffle_epi32(source, 0xA0); }
Xmm duplicate_odd_singles(Xmm source) { return _mm_shuffle_epi32(source, 0xF5); }

Selection select_part(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Movss:
      return scalar<uint32_t, merge_single>(instruction, op);
    case Mnemonic::Movsd:
      return scalar<uint64_t, merge_low>(instruction, op);
    case Mnemonic::Movlps:
    case Mnemonic::Movlpd:
      return low_half(instruction, op);
    case Mnemonic::Movhps:
    case Mnemonic::Movhpd:
      return high_half(instruction, op);
    case Mnemonic::Movntss:
      return low_memory<uint32_t>(instruction, op);
    case Mnemonic::Movntsd:
      return low_memory<uint64_t>(instruction, op);
    case Mnemonic::Movhlps:
      return sse_binary<high_to_low>(instruction, op);
    case Mnemonic::Movlhps:
      return sse_binary<low_to_high>(instruction, op);
    case Mnemonic::Movddup:
      return instruction.vector_length == 32 ? sse_unary<duplicate_low>(instruction, op)
                                             : sse_unary<duplicate_low, 8>(instruction, op);
    case Mnemonic::Movsldup:
      return sse_unary<duplicate_even_singles>(instruction, op);
    case Mnemonic::Movshdup:
      return sse_unary<duplicate_odd_singles>(instruction, op);
    default:
      return {};
  }
}

// --- Stores past the caches, and under a mask
// --------------------------------------------------------------------------------

// MOVNTI stores a general register: no vector state is involved.
template <typename T>
CALCO_HANDLER_CONVENTION void movnti(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  store_memory(*cpu, *op, tlb, static_cast<T>(cpu->registers[op->reg]));
  CALCO_NEXT_OPERATION;
}

// Stores the bytes whose mask byte has its sign set. The whole range must be writable, even
// where no byte is chosen.
void store_masked(Cpu& cpu, const Op& op, TlbEntry* tlb, const uint8_t* bytes, uint64_t chosen, unsigned size) {
  const uint64_t linear = operand_linear(cpu, op, size, true);
  cpu.mmu().probe_write(linear, size, cpu.mmu().current_protection(), op.segment == kSs);
  for (unsigned i = 0; i < size; ++i) {
    if ((chosen >> i & 1) != 0) store_linear(cpu, tlb, cpu.wrap_linear(linear + i), bytes[i]);
  }
}
void maskmovdqu(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto chosen = static_cast<uint32_t>(_mm_movemask_epi8(xmm(cpu, op.rm)));
  store_masked(cpu, op, tlb, cpu.vectors[op.reg].bytes.data(), chosen, 16);
}
void maskmovq(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint64_t value = mmx(cpu, op.reg);
  const auto chosen = static_cast<uint32_t>(_mm_movemask_epi8(from_qword(mmx(cpu, op.rm))));
  enter_mmx(cpu);  // even where the store faults
  store_masked(cpu, op, tlb, reinterpret_cast<const uint8_t*>(&value), chosen, 8);
}

// --- EMMS
// ----------------------------------------------------------------------------------------------------------------

CALCO_HANDLER_CONVENTION void emms(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  check_mmx_available(*cpu);
  cpu->x87.top = 0;
  cpu->x87.empty = 0xFF;
  CALCO_NEXT_OPERATION;
}

// --- VZEROUPPER, VZEROALL
// ----------------------------------------------------------------------------------------------------

// Of registers that the code can name.
template <bool kAll>
void zero_vectors(Cpu& cpu, const Op&, TlbEntry*) {
  for (uint8_t number = 0; number < (cpu.code_64() ? 16 : 8); ++number) {
    set_result<Encoding::Vex128>(cpu, number, kAll ? _mm_setzero_si128() : xmm(cpu, number));
  }
}

Selection select_special(const Instruction& instruction, const Op&) {
  switch (instruction.mnemonic) {
    case Mnemonic::Movnti:
      return instruction.operands[1].size == 8 ? Selection{&movnti<uint64_t>, false}
                                               : Selection{&movnti<uint32_t>, false};
    case Mnemonic::Maskmovdqu:
      return either_encoding<maskmovdqu>(instruction);
    case Mnemonic::Maskmovq:
      return select_mmx<maskmovq>();
    case Mnemonic::Vzeroupper:
      return select_sse<zero_vectors<false>, Encoding::Vex128>();
    case Mnemonic::Vzeroall:
      return select_sse<zero_vectors<true>, Encoding::Vex128>();
    case Mnemonic::Emms:
    case Mnemonic::Femms:
      return {&emms, false};
    default:
      return {};
  }
}

}  // namespace

Selection select_vector_move(const Instruction& instruction, Op& op) {
  for (const auto select : {select_whole, select_movd_movq, select_part, select_special}) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace calco::cpu::vector
