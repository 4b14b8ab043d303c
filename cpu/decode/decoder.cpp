#include "cpu/decode/decoder.h"

#include <algorithm>
#include <cstring>

#include "cpu/state.h"

namespace calco::decode {
namespace {

constexpr uint8_t kRexW = 8, kRexR = 4, kRexX = 2, kRexB = 1;

enum class PrefixKind : uint8_t { None, OperandSize, AddressSize, Repeat, Lock, Segment, Rex };

constexpr std::array<PrefixKind, 256> prefix_kinds() {
  std::array<PrefixKind, 256> kinds{};
  for (unsigned rex = 0x40; rex < 0x50; ++rex) kinds[rex] = PrefixKind::Rex;
  for (const unsigned segment : {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65}) kinds[segment] = PrefixKind::Segment;
  kinds[0x66] = PrefixKind::OperandSize;
  kinds[0x67] = PrefixKind::AddressSize;
  kinds[0xF0] = PrefixKind::Lock;
  kinds[0xF2] = kinds[0xF3] = PrefixKind::Repeat;
  return kinds;
}
constexpr std::array<PrefixKind, 256> kPrefixKinds = prefix_kinds();

// 26, 2E, 36, 3E, 64, 65: ES, CS, SS, DS, FS, GS.
constexpr uint8_t segment_of_prefix(uint8_t byte) {
  return byte >= 0x64 ? static_cast<uint8_t>(byte - 0x64 + cpu::kFs) : static_cast<uint8_t>(byte >> 3 & 3);
}

// ModRM.rm of 16-bit addressing: base, index (SDM vol. 2, table 2-1).
constexpr uint8_t kBase16[8] = {cpu::kRbx, cpu::kRbx, cpu::kRbp, cpu::kRbp, cpu::kRsi, cpu::kRdi, cpu::kRbp, cpu::kRbx};
constexpr uint8_t kIndex16[8] = {cpu::kRsi,  cpu::kRdi,  cpu::kRsi,  cpu::kRdi,
                                 cpu::kZero, cpu::kZero, cpu::kZero, cpu::kZero};

constexpr uint32_t kConditions = attribute::kW0 | attribute::kW1 | attribute::kL0 | attribute::kL1 |
                                 attribute::kSize16 | attribute::kSize32 | attribute::kSize64 |
                                 attribute::kWithoutRexB | attribute::kOnly64 | attribute::kInvalid64;

const Lookup& shared_lookup() {
  static const Lookup lookup;  // built on first use, immutable
  return lookup;
}

}  // namespace

Decoder::Decoder(const Lookup& lookup, std::span<const uint8_t> bytes, CodeSize code_size, const FeatureSet& features,
                 Instruction& instruction)
    : lookup_(lookup),
      bytes_(bytes.data()),
      available_(static_cast<unsigned>(std::min<size_t>(bytes.size(), kMaximumLength))),
      more_may_come_(bytes.size() < kMaximumLength),
      code_size_(code_size),
      features_(features),
      out_(instruction) {}

template <typename Integer>
Integer Decoder::take() {
  Integer value{};
  if (position_ + sizeof(Integer) > available_) {
    overrun_ = true;
    position_ = available_;
    return value;
  }
  std::memcpy(&value, bytes_ + position_, sizeof(Integer));
  position_ += sizeof(Integer);
  return value;
}

uint64_t Decoder::take_unsigned(unsigned bytes) {
  switch (bytes) {
    case 1:
      return take<uint8_t>();
    case 2:
      return take<uint16_t>();
    case 4:
      return take<uint32_t>();
    default:
      return take<uint64_t>();
  }
}

int64_t Decoder::take_signed(unsigned bytes) {
  switch (bytes) {
    case 1:
      return take<int8_t>();
    case 2:
      return take<int16_t>();
    case 4:
      return take<int32_t>();
    default:
      return take<int64_t>();
  }
}

Status Decoder::run() {
  out_ = Instruction{};
  out_.code_64 = in_64_bit_code();
  read_prefixes();
  read_opcode();
  if (overrun_ || invalid_) return finish(false);
  compute_sizes();
  const Row* row = select_row();
  if (overrun_ || row == nullptr) return finish(false);
  apply_row(*row);
  if (has_modrm_ && out_.modrm < 0xC0 && !row->has(attribute::kIgnoreMod)) read_memory();
  for (size_t i = 0; i < row->operands.size() && row->operands[i].location != Location::None; ++i) {
    if (!read_operand(row->operands[i], out_.operands[i])) return finish(false);
  }
  return finish(!overrun_ && operands_are_valid(*row));
}

Status Decoder::finish(bool valid) {
  out_.length = static_cast<uint8_t>(position_);
  if (overrun_) return more_may_come_ ? Status::NeedMoreBytes : Status::TooLong;
  return valid ? Status::Ok : Status::InvalidOpcode;
}

// Any order, any number; REX counts only directly before the opcode. The last of F2 and F3 is the one that counts.
void Decoder::read_prefixes() {
  while (position_ < available_) {
    const uint8_t byte = bytes_[position_];
    const PrefixKind kind = kPrefixKinds[byte];
    if (kind == PrefixKind::None || (kind == PrefixKind::Rex && !in_64_bit_code())) return;
    ++position_;
    rex_ = 0;
    switch (kind) {
      case PrefixKind::OperandSize:
        operand_size_prefix_ = true;
        break;
      case PrefixKind::AddressSize:
        address_size_prefix_ = true;
        break;
      case PrefixKind::Repeat:
        repeat_prefix_ = byte;
        break;
      case PrefixKind::Lock:
        out_.lock = true;
        break;
      case PrefixKind::Segment:
        // ES, CS, SS and DS have no effect in 64-bit code, not even on an earlier FS or GS.
        if (!in_64_bit_code() || byte >= 0x64) out_.segment_override = segment_of_prefix(byte);
        break;
      default:
        rex_ = byte;
        break;
    }
  }
}

void Decoder::read_opcode() {
  uint8_t opcode = take<uint8_t>();
  if (starts_vex(opcode)) {
    read_vex(opcode);
  } else {
    key_.map = OpcodeMap::OneByte;
    if (opcode == 0x0F) {
      key_.map = OpcodeMap::Map0F;
      opcode = take<uint8_t>();
      if (opcode == 0x38 || opcode == 0x3A) {
        key_.map = opcode == 0x38 ? OpcodeMap::Map0F38 : OpcodeMap::Map0F3A;
        opcode = take<uint8_t>();
      }
    }
    key_.opcode = opcode;
    key_.variant = in_64_bit_code() ? 1 : 0;
    key_.prefix = repeat_prefix_ == 0xF3 ? 2 : (repeat_prefix_ == 0xF2 ? 3 : (operand_size_prefix_ ? 1 : 0));
  }
  out_.opcode = key_.opcode;
}

// Outside 64-bit code C4 and C5 are LES and LDS unless the next byte would be a ModRM byte with mod 3.
bool Decoder::starts_vex(uint8_t opcode) const {
  return (opcode == 0xC4 || opcode == 0xC5) && (in_64_bit_code() || peek() >= 0xC0);
}

// SDM vol. 2, 2.3.5. R, X, B and vvvv are stored inverted.
void Decoder::read_vex(uint8_t opcode) {
  vex_ = true;
  if (operand_size_prefix_ || repeat_prefix_ != 0 || out_.lock || rex_ != 0) invalid_ = true;
  uint8_t payload = take<uint8_t>();
  unsigned map = 1;
  rex_ = static_cast<uint8_t>(0x40 | ((payload & 0x80) != 0 ? 0 : kRexR));
  if (opcode == 0xC4) {
    rex_ |= static_cast<uint8_t>((payload & 0x40) != 0 ? 0 : kRexX);
    rex_ |= static_cast<uint8_t>((payload & 0x20) != 0 ? 0 : kRexB);
    map = payload & 0x1F;
    payload = take<uint8_t>();
    vex_w_ = (payload & 0x80) != 0;
    if (vex_w_) rex_ |= kRexW;
  }
  if (!in_64_bit_code()) rex_ = 0x40;
  if (map < 1 || map > 3) invalid_ = true;
  key_.map = static_cast<OpcodeMap>(static_cast<unsigned>(OpcodeMap::Vex0F) + (map - 1) % 3);
  key_.variant = vex_w_ ? 1 : 0;
  key_.prefix = payload & 3;
  vvvv_ = static_cast<uint8_t>(~payload >> 3 & 15);
  out_.vector_length = (payload & 4) != 0 ? 32 : 16;
  key_.opcode = take<uint8_t>();
}

void Decoder::compute_sizes() {
  const bool short_operands = (code_size_ == CodeSize::Bits16) != operand_size_prefix_;
  const bool short_addresses = (code_size_ == CodeSize::Bits16) != address_size_prefix_;
  if ((rex_ & kRexW) != 0) {
    out_.operand_size = 8;
  } else {
    out_.operand_size = short_operands ? 2 : 4;
  }
  if (in_64_bit_code()) {
    out_.address_size = address_size_prefix_ ? 4 : 8;
  } else {
    out_.address_size = short_addresses ? 2 : 4;
  }
}

bool Decoder::conditions_hold(const Row& row) const {
  if (row.feature != Feature::Base && !features_[static_cast<size_t>(row.feature)]) return false;
  if (!row.has(kConditions)) return true;
  const bool wide = vex_ ? vex_w_ : (rex_ & kRexW) != 0;
  const bool long_vector = out_.vector_length == 32;
  const uint32_t failing =
      (wide ? attribute::kW0 : attribute::kW1) | (long_vector ? attribute::kL0 : attribute::kL1) |
      (out_.operand_size == 2 ? 0 : attribute::kSize16) | (out_.operand_size == 4 ? 0 : attribute::kSize32) |
      (out_.operand_size == 8 ? 0 : attribute::kSize64) | ((rex_ & kRexB) != 0 ? attribute::kWithoutRexB : 0) |
      (in_64_bit_code() ? attribute::kInvalid64 : attribute::kOnly64);
  return !row.has(failing);
}

const Row* Decoder::select_row() {
  uint16_t number = lookup_.find(key_);
  if (Lookup::needs_modrm(number)) {
    const uint8_t modrm = take<uint8_t>();
    has_modrm_ = true;
    out_.modrm = modrm;
    number = lookup_.with_modrm(number, modrm);
  }
  while (number != Lookup::kInvalid) {
    const Row& row = rows()[number];
    if (conditions_hold(row)) return &row;
    if (!has_modrm_ && (row.register_form || row.memory_form)) {
      has_modrm_ = true;
      out_.modrm = take<uint8_t>();
    }
    number = Lookup::next(number, key_, out_.modrm);
  }
  return nullptr;
}

void Decoder::apply_row(const Row& row) {
  out_.row = &row;
  out_.mnemonic = row.mnemonic;
  if (row.form == Form::ConditionInOpcode) out_.condition = out_.opcode & 15;
  if (!has_modrm_ && (row.register_form || row.memory_form)) {
    has_modrm_ = true;
    out_.modrm = take<uint8_t>();
  }
  if (repeat_prefix_ != 0 && (row.prefixes & prefix::kNone) != 0) {
    (repeat_prefix_ == 0xF3 ? out_.repeat : out_.repeat_not) = true;
  }
  // 66 as part of the opcode is no operand size prefix.
  if (row.prefixes == prefix::k66 && out_.operand_size == (code_size_ == CodeSize::Bits16 ? 4 : 2)) {
    out_.operand_size = code_size_ == CodeSize::Bits16 ? 2 : 4;
  }
  if (in_64_bit_code() && row.has(attribute::kDefault64) && out_.operand_size == 4) out_.operand_size = 8;
}

uint8_t Decoder::data_segment(uint8_t default_segment) const {
  if (out_.segment_override != cpu::kNoSegment) return out_.segment_override;
  if (in_64_bit_code() && default_segment != cpu::kSs) return cpu::kNoSegment;
  return default_segment;
}

// SDM vol. 2, tables 2-2, 2-3 and 2-5 to 2-7.
void Decoder::read_memory() {
  MemoryOperand& memory = out_.memory;
  memory.address_size = out_.address_size;
  if (out_.address_size == 2) {
    read_memory_16();
    return;
  }
  const unsigned mod = out_.modrm >> 6;
  const unsigned rm = out_.modrm & 7;
  unsigned displacement_bytes = mod == 1 ? 1 : (mod == 2 ? 4 : 0);
  if (rm == 4) {
    read_sib();
    if (memory.base == cpu::kZero) displacement_bytes = 4;
  } else if (rm == 5 && mod == 0) {
    memory.base = in_64_bit_code() ? cpu::kRip : cpu::kZero;
    displacement_bytes = 4;
  } else {
    memory.base = static_cast<uint8_t>(rm | ((rex_ & kRexB) != 0 ? 8 : 0));
  }
  if (displacement_bytes != 0) memory.displacement = take_signed(displacement_bytes);
  const bool on_stack = memory.base == cpu::kRsp || memory.base == cpu::kRbp;
  memory.segment = data_segment(on_stack ? cpu::kSs : cpu::kDs);
}

void Decoder::read_sib() {
  const uint8_t sib = take<uint8_t>();
  const auto index = static_cast<uint8_t>((sib >> 3 & 7) | ((rex_ & kRexX) != 0 ? 8 : 0));
  // As a vector register all sixteen are an index.
  if (index != 4 || out_.row->has(attribute::kVsib)) {
    out_.memory.index = index;
    out_.memory.scale = sib >> 6;
  }
  const bool no_base = (sib & 7) == 5 && out_.modrm < 0x40;
  out_.memory.base = no_base ? cpu::kZero : static_cast<uint8_t>((sib & 7) | ((rex_ & kRexB) != 0 ? 8 : 0));
}

void Decoder::read_memory_16() {
  MemoryOperand& memory = out_.memory;
  const unsigned mod = out_.modrm >> 6;
  const unsigned rm = out_.modrm & 7;
  unsigned displacement_bytes = mod;
  if (rm == 6 && mod == 0) {
    displacement_bytes = 2;
  } else {
    memory.base = kBase16[rm];
    memory.index = kIndex16[rm];
  }
  if (displacement_bytes != 0) memory.displacement = take_signed(displacement_bytes);
  memory.segment = data_segment(memory.base == cpu::kRbp ? cpu::kSs : cpu::kDs);
}

uint8_t Decoder::width_in_bytes(Width width, bool is_register) const {
  const uint8_t vector_bytes = out_.vector_length == 32 ? 32 : 16;
  switch (width) {
    case Width::None:
      return 0;
    case Width::Byte:
      return 1;
    case Width::Word:
      return 2;
    case Width::Dword:
      return 4;
    case Width::Qword:
      return 8;
    case Width::TenByte:
      return 10;
    case Width::Dqword:
      return 16;
    case Width::OperandSize:
      return out_.operand_size;
    case Width::OperandSizeTo4:
      return std::min<uint8_t>(out_.operand_size, 4);
    case Width::DwordOrQword:
      return (rex_ & kRexW) != 0 ? 8 : 4;
    case Width::Mode:
      return in_64_bit_code() ? 8 : 4;
    case Width::Vector:
      return vector_bytes;
    case Width::HalfVector:
      return vector_bytes / 2;
    case Width::QuarterVector:
      return vector_bytes / 4;
    case Width::EighthVector:
      return vector_bytes / 8;
    case Width::FarPointer:
      return out_.operand_size + 2;
    case Width::Descriptor:
      return in_64_bit_code() ? 10 : 6;
    case Width::Bounds:
      return out_.operand_size * 2;
    case Width::WordOrRegister:
      return is_register ? out_.operand_size : 2;
    case Width::ByteOrDword:
      return is_register ? 4 : 1;
    case Width::WordOrDword:
      return is_register ? 4 : 2;
  }
  return 0;
}

// Byte registers 4-7 are AH, CH, DH, BH unless there is a REX prefix.
Operand Decoder::general(uint8_t number, uint8_t size) const {
  if (size == 1 && rex_ == 0 && number >= 4) number += 12;
  return {OperandKind::General, number, size};
}

bool Decoder::read_rm(const OperandSpec& spec, Operand& operand, OperandKind register_kind) {
  const bool is_register = out_.modrm >= 0xC0 || out_.row->has(attribute::kIgnoreMod);
  const uint8_t size = width_in_bytes(spec.width, is_register);
  if (!is_register) {
    operand = {OperandKind::Memory, 0, size};
    return true;
  }
  const uint8_t low = out_.modrm & 7;
  const auto number = static_cast<uint8_t>(low | ((rex_ & kRexB) != 0 ? 8 : 0));
  switch (register_kind) {
    case OperandKind::General:
      operand = general(number, size);
      return true;
    case OperandKind::Vector:
      operand = {register_kind, number, size};
      return true;
    default:  // eight registers; REX.B is ignored
      operand = {register_kind, low, size};
      return true;
  }
}

void Decoder::implicit_memory(const OperandSpec& spec, Operand& operand) {
  const uint8_t size = width_in_bytes(spec.width, false);
  const bool memory_is_taken = out_.has_memory();
  operand = {OperandKind::Memory, 0, size};
  MemoryOperand& memory = out_.memory;
  switch (spec.location) {
    case Location::StringDestination:
      if (memory_is_taken) return;  // CMPS: Instruction::memory is the source
      memory.base = cpu::kRdi;
      memory.segment = in_64_bit_code() ? cpu::kNoSegment : cpu::kEs;
      break;
    case Location::StringSource:
      memory.base = cpu::kRsi;
      memory.segment = data_segment(cpu::kDs);
      break;
    case Location::Offset:
      memory.displacement = static_cast<int64_t>(take_unsigned(out_.address_size));
      memory.segment = data_segment(cpu::kDs);
      break;
    default:
      memory.base = spec.number;
      memory.segment = data_segment(cpu::kDs);
      break;
  }
  memory.address_size = out_.address_size;
}

void Decoder::read_immediate(const OperandSpec& spec, Operand& operand) {
  uint64_t value = 1;
  operand = {OperandKind::Immediate, 0, 0};
  if (spec.location == Location::SignedImmediate) {
    const bool stands_for_more = spec.number != 0;
    value = static_cast<uint64_t>(take_signed(stands_for_more ? 1 : width_in_bytes(spec.width, false)));
    operand.size = spec.width == Width::Byte ? 1 : out_.operand_size;
  } else if (spec.location == Location::UnsignedImmediate) {
    value = take_unsigned(width_in_bytes(spec.width, false));
  }
  if (immediate_used_) {
    operand.kind = OperandKind::Immediate2;
    out_.immediate2 = value;
  } else {
    out_.immediate = value;
  }
  immediate_used_ = true;
}

bool Decoder::read_operand(const OperandSpec& spec, Operand& operand) {
  const uint8_t low = out_.modrm >> 3 & 7;
  const auto reg = static_cast<uint8_t>(low | ((rex_ & kRexR) != 0 ? 8 : 0));
  const uint8_t size = width_in_bytes(spec.width, true);
  switch (spec.location) {
    case Location::None:
      return true;
    case Location::RmGeneral:
    case Location::Memory:
      return read_rm(spec, operand, OperandKind::General);
    case Location::RmMmx:
      return read_rm(spec, operand, OperandKind::Mmx);
    case Location::RmVector:
      return read_rm(spec, operand, OperandKind::Vector);
    case Location::RmX87:
      return read_rm(spec, operand, OperandKind::X87);
    case Location::RegGeneral:
      operand = general(reg, size);
      return true;
    case Location::OpcodeGeneral:
      operand = general(static_cast<uint8_t>((out_.opcode & 7) | ((rex_ & kRexB) != 0 ? 8 : 0)), size);
      return true;
    case Location::FixedGeneral:
    case Location::Port:
      operand = {OperandKind::General, spec.number, size};
      return true;
    case Location::VvvvGeneral:
      operand = {OperandKind::General, vvvv_register(), size};
      return true;
    case Location::Offset:
    case Location::StringSource:
    case Location::StringDestination:
    case Location::ImplicitMemory:
      implicit_memory(spec, operand);
      return true;
    case Location::RegSegment:
      operand = {OperandKind::Segment, low, size};
      return low <= cpu::kGs;
    case Location::FixedSegment:
      operand = {OperandKind::Segment, spec.number, size};
      return true;
    case Location::RegControl:
      operand = {OperandKind::Control, reg, size};
      return reg == 0 || reg == 2 || reg == 3 || reg == 4 || reg == 8;
    case Location::RegDebug:
      operand = {OperandKind::Debug, reg, size};
      return reg < 8;
    case Location::RegMmx:
      operand = {OperandKind::Mmx, low, size};
      return true;
    case Location::RegVector:
      operand = {OperandKind::Vector, reg, size};
      return true;
    case Location::VvvvVector:
      operand = {OperandKind::Vector, vvvv_register(), size};
      return true;
    case Location::ImmediateVector:
      operand = {OperandKind::Vector, static_cast<uint8_t>(take<uint8_t>() >> 4 & (in_64_bit_code() ? 15 : 7)), size};
      return true;
    case Location::FixedVector:
      operand = {OperandKind::Vector, spec.number, size};
      return true;
    case Location::FixedX87:
      operand = {OperandKind::X87, spec.number, size};
      return true;
    case Location::SignedImmediate:
    case Location::UnsignedImmediate:
    case Location::One:
      read_immediate(spec, operand);
      return true;
    case Location::Relative:
      out_.immediate = static_cast<uint64_t>(take_signed(size));
      operand = {OperandKind::Relative, 0, size};
      return true;
    case Location::FarPointer:
      out_.immediate = take_unsigned(out_.operand_size);
      out_.immediate2 = take<uint16_t>();
      operand = {OperandKind::FarPointer, 0, size};
      return true;
  }
  return true;
}

bool Decoder::operands_are_valid(const Row& row) const {
  const Operand& destination = out_.operands[0];
  if (out_.lock && !(row.has(attribute::kLockable) && destination.kind == OperandKind::Memory)) return false;
  if (row.operands[0].location == Location::RegSegment && destination.number == cpu::kCs) return false;
  if (!vex_) return true;
  if (row.has(attribute::kVsib)) {
    if ((out_.modrm & 7) != 4 || out_.address_size == 2) return false;
    // Destination, index and mask are three registers (SDM vol. 2, 2.3.12).
    const uint8_t index = out_.memory.index, mask = out_.operands[2].number;
    if (destination.number == index || destination.number == mask || index == mask) return false;
  }
  const bool names_vvvv = std::any_of(row.operands.begin(), row.operands.end(), [](const OperandSpec& spec) {
    return spec.location == Location::VvvvGeneral || spec.location == Location::VvvvVector;
  });
  return names_vvvv || vvvv_ == 0;
}

Status decode(std::span<const uint8_t> bytes, CodeSize code_size, const FeatureSet& features,
              Instruction& instruction) {
  return Decoder(shared_lookup(), bytes, code_size, features, instruction).run();
}

}  // namespace calco::decode
