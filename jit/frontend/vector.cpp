// SSE to SSE4.2, AES, PCLMULQDQ, SHA, AVX, AVX2, FMA, F16C: handed to the host's own instruction.
#include "cpu/decode/row.h"
#include "cpu/exec/block_cache.h"
#include "jit/frontend/groups.h"
#include "jit/frontend/host_features.h"

namespace calco::jit {
namespace {

using decode::Location;
using decode::Mnemonic;
using decode::OpcodeMap;
using decode::OperandKind;
using ir::HostVectorInstruction;
using ir::Opcode;
using ir::Type;
using ir::Value;

bool is_vex(const decode::Row& row) { return row.map >= OpcodeMap::Vex0F; }

uint8_t map_number(OpcodeMap map) {
  switch (map) {
    case OpcodeMap::Map0F38:
    case OpcodeMap::Vex0F38:
      return 2;
    case OpcodeMap::Map0F3A:
    case OpcodeMap::Vex0F3A:
      return 3;
    default:
      return 1;
  }
}

uint8_t prefix_byte(uint8_t prefixes) {
  switch (prefixes) {
    case decode::prefix::k66:
      return 0x66;
    case decode::prefix::kF3:
      return 0xF3;
    case decode::prefix::kF2:
      return 0xF2;
    default:
      return 0;
  }
}

// What no other instruction can stand for: several results, memory that depends on a mask, all registers at once.
bool only_interpreted(const decode::Row& row) {
  if (row.has(decode::attribute::kVsib)) return true;
  switch (row.mnemonic) {
    case Mnemonic::Pcmpestri:
    case Mnemonic::Pcmpestrm:
    case Mnemonic::Pcmpistri:
    case Mnemonic::Pcmpistrm:
    case Mnemonic::Vpcmpestri:
    case Mnemonic::Vpcmpestrm:
    case Mnemonic::Vpcmpistri:
    case Mnemonic::Vpcmpistrm:
    case Mnemonic::Vmaskmovps:
    case Mnemonic::Vmaskmovpd:
    case Mnemonic::Vpmaskmovd:
    case Mnemonic::Vpmaskmovq:
    case Mnemonic::Vzeroall:
    case Mnemonic::Vldmxcsr:
    case Mnemonic::Vstmxcsr:
      return true;
    default:
      return false;
  }
}

// Floating-point arithmetic, comparison, conversion and rounding; by opcode, which VEX encodings share.
bool uses_mxcsr(uint8_t map, uint8_t opcode) {
  if (map == 3) return (opcode >= 0x08 && opcode <= 0x0B) || opcode == 0x1D || opcode == 0x40 || opcode == 0x41;
  if (map == 2) return opcode == 0x13 || (opcode >= 0x96 && opcode <= 0xBF);
  if (opcode >= 0x58 && opcode <= 0x5F) return true;
  switch (opcode) {
    case 0x2A:
    case 0x2C:
    case 0x2D:
    case 0x2E:
    case 0x2F:
    case 0x51:
    case 0x7C:
    case 0x7D:
    case 0xC2:
    case 0xD0:
    case 0xE6:
      return true;
    default:
      return false;
  }
}

// Legacy instructions whose result does not depend on what was in their destination.
bool overwrites(const decode::Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::Movss:
    case Mnemonic::Movsd:
      return instruction.operands[1].kind == OperandKind::Memory;
    case Mnemonic::Movaps:
    case Mnemonic::Movapd:
    case Mnemonic::Movdqa:
    case Mnemonic::Movups:
    case Mnemonic::Movupd:
    case Mnemonic::Movdqu:
    case Mnemonic::Lddqu:
    case Mnemonic::Movntdqa:
    case Mnemonic::Movd:
    case Mnemonic::Movq:
    case Mnemonic::Movsldup:
    case Mnemonic::Movshdup:
    case Mnemonic::Movddup:
    case Mnemonic::Pshufd:
    case Mnemonic::Pshufhw:
    case Mnemonic::Pshuflw:
    case Mnemonic::Sqrtps:
    case Mnemonic::Sqrtpd:
    case Mnemonic::Rsqrtps:
    case Mnemonic::Rcpps:
    case Mnemonic::Cvtps2pd:
    case Mnemonic::Cvtpd2ps:
    case Mnemonic::Cvtdq2ps:
    case Mnemonic::Cvtdq2pd:
    case Mnemonic::Cvtps2dq:
    case Mnemonic::Cvtpd2dq:
    case Mnemonic::Cvttps2dq:
    case Mnemonic::Cvttpd2dq:
    case Mnemonic::Pabsb:
    case Mnemonic::Pabsw:
    case Mnemonic::Pabsd:
    case Mnemonic::Pmovsxbw:
    case Mnemonic::Pmovsxbd:
    case Mnemonic::Pmovsxbq:
    case Mnemonic::Pmovsxwd:
    case Mnemonic::Pmovsxwq:
    case Mnemonic::Pmovsxdq:
    case Mnemonic::Pmovzxbw:
    case Mnemonic::Pmovzxbd:
    case Mnemonic::Pmovzxbq:
    case Mnemonic::Pmovzxwd:
    case Mnemonic::Pmovzxwq:
    case Mnemonic::Pmovzxdq:
    case Mnemonic::Phminposuw:
    case Mnemonic::Aesimc:
    case Mnemonic::Aeskeygenassist:
    case Mnemonic::Roundps:
    case Mnemonic::Roundpd:
      return true;
    default:
      return false;
  }
}

// VEX destinations are only written, but for the multiply-add family.
bool reads_destination(const HostVectorInstruction& host, const decode::Instruction& instruction) {
  if (host.vex) return host.map == 2 && host.opcode >= 0x96 && host.opcode <= 0xBF;
  return !overwrites(instruction);
}

// Fills a HostVectorInstruction from a decoded instruction, operand by operand.
class HostEncoding {
 public:
  explicit HostEncoding(const decode::Instruction& instruction) : instruction_(instruction) {}

  // False where an operand is of a kind that the host's instruction cannot have.
  bool fill();
  const HostVectorInstruction& host() const { return host_; }
  bool has_result() const { return host_.reg_is_general || host_.rm_is_general_result; }

 private:
  void fill_opcode();
  bool fill_operand(unsigned index);
  void fill_general(unsigned index, bool is_rm);
  void fill_memory(unsigned index);
  void note_vector(unsigned index);
  bool converts_from_general() const;
  bool converts_to_general() const;

  const decode::Instruction& instruction_;
  HostVectorInstruction host_;
};

void HostEncoding::fill_opcode() {
  const decode::Row& row = *instruction_.row;
  host_.mnemonic = instruction_.mnemonic;
  host_.vex = is_vex(row);
  host_.map = map_number(row.map);
  host_.prefix = prefix_byte(row.prefixes);
  host_.opcode = instruction_.opcode;
  host_.wide = row.has(decode::attribute::kW1);
  host_.long_vector = instruction_.vector_length == 32;
  host_.sets_flags = row.flags.written != 0;
  host_.uses_mxcsr = uses_mxcsr(host_.map, host_.opcode);
  if (row.digit >= 0) host_.reg = static_cast<uint8_t>(row.digit);
}

bool HostEncoding::fill() {
  fill_opcode();
  for (unsigned i = 0; i < instruction_.operands.size(); ++i) {
    if (instruction_.operands[i].kind != OperandKind::None && !fill_operand(i)) return false;
  }
  return true;
}

bool HostEncoding::fill_operand(unsigned index) {
  const decode::Operand& operand = instruction_.operands[index];
  switch (instruction_.row->operands[index].location) {
    case Location::RegVector:
      host_.reg = operand.number;
      note_vector(index);
      return true;
    case Location::VvvvVector:
      host_.vvvv = operand.number;
      note_vector(index);
      return true;
    case Location::FixedVector:
      note_vector(index);
      return true;
    case Location::ImmediateVector:
      host_.has_immediate = true;
      host_.immediate = static_cast<uint8_t>(operand.number << 4);
      note_vector(index);
      return true;
    case Location::RmVector:
    case Location::Memory:
    case Location::RmGeneral:
      if (operand.kind == OperandKind::Memory) {
        fill_memory(index);
      } else if (operand.kind == OperandKind::General) {
        fill_general(index, true);
      } else {
        host_.rm = operand.number;
        note_vector(index);
      }
      return true;
    case Location::RegGeneral:
      fill_general(index, false);
      return true;
    case Location::UnsignedImmediate:
    case Location::SignedImmediate:
      if (host_.has_immediate) return false;
      host_.has_immediate = true;
      host_.immediate = static_cast<uint8_t>(instruction_.immediate);
      return true;
    default:
      return false;  // MMX registers
  }
}

void HostEncoding::fill_memory(unsigned index) {
  host_.source = HostVectorInstruction::Source::Memory;
  host_.memory_bytes = instruction_.operands[index].size;
  host_.writes_memory = index == 0 && !host_.sets_flags;
  if (converts_from_general()) host_.wide = host_.memory_bytes == 8;
}

// CVTSI2SS, CVTSS2SI and their kin: besides what REX.W chooses the only ones whose general operand, or the memory in
// its place, has the operand size.
bool HostEncoding::converts_from_general() const { return host_.map == 1 && host_.opcode == 0x2A; }
bool HostEncoding::converts_to_general() const {
  return host_.map == 1 && (host_.opcode == 0x2C || host_.opcode == 0x2D);
}

void HostEncoding::fill_general(unsigned index, bool is_rm) {
  host_.general_size = instruction_.operands[index].size;
  if (converts_from_general() || converts_to_general()) {
    host_.wide = host_.general_size == 8;
  } else if (!host_.wide) {
    host_.general_size = 4;  // masks and elements; what is written is cleared above
  }
  if (index != 0) {
    host_.source = HostVectorInstruction::Source::General;
  } else {
    (is_rm ? host_.rm_is_general_result : host_.reg_is_general) = true;
  }
}

void HostEncoding::note_vector(unsigned index) {
  const auto bit = static_cast<uint16_t>(1u << instruction_.operands[index].number);
  if (index == 0 && !host_.sets_flags) {
    host_.writes |= bit;
    if (!reads_destination(host_, instruction_)) return;
  }
  host_.reads |= bit;
}

// --- Emission
// ------------------------------------------------------------------------------------------------------------

Value argument(Emitter& emit, const HostVectorInstruction& host) {
  switch (host.source) {
    case HostVectorInstruction::Source::Memory: {
      const uint64_t aligned = emit.instruction().row->has(decode::attribute::kAligned) ? ir::kHostAligned : 0;
      return emit.host_address(emit.linear_address(), host.memory_bytes,
                               aligned | (host.writes_memory ? ir::kHostWrite : 0));
    }
    case HostVectorInstruction::Source::General: {
      unsigned index = 1;
      while (emit.operand(index).kind != OperandKind::General) ++index;
      return emit.read_general(emit.operand(index).number, ir::type_of_bytes(host.general_size));
    }
    default:
      return ir::kNoValue;
  }
}

Outcome on_host(Emitter& emit) {
  HostEncoding encoding(emit.instruction());
  if (!encoding.fill()) return Outcome::Interpret;
  const HostVectorInstruction& host = encoding.host();
  if (!host_executes(*emit.instruction().row, host)) return Outcome::Interpret;
  const Type type = encoding.has_result() ? ir::type_of_bytes(host.general_size)
                    : host.sets_flags     ? Type::I64
                                          : Type::Void;
  const Value source = argument(emit, host);
  std::vector<HostVectorInstruction>& vectors = emit.block().vectors;
  const Value result = emit.append(Opcode::HostVector, type, {source, ir::kNoValue, ir::kNoValue}, 0, vectors.size());
  vectors.push_back(host);
  if (encoding.has_result()) emit.write_general(emit.operand(0).number, result);
  if (host.sets_flags) emit.set_flags(cpu::FlagKind::Explicit, result);
  return Outcome::Next;
}

}  // namespace

Outcome translate_vector(Emitter& emit) {
  const decode::Row& row = *emit.instruction().row;
  const uint32_t wanted = is_vex(row) ? cpu::kModeAvx : cpu::kModeVector;
  if ((emit.block().mode_key & wanted) == 0) return Outcome::Interpret;
  if (row.mnemonic == Mnemonic::Movnti) {
    emit.write(0, emit.read(1));
    return Outcome::Next;
  }
  if (row.mnemonic == Mnemonic::Vzeroupper) {
    emit.operation(Opcode::ClearUpperVectors, Type::Void);
    return Outcome::Next;
  }
  if (only_interpreted(row)) return Outcome::Interpret;
  return on_host(emit);
}

}  // namespace calco::jit
