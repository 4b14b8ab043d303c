#include "tests/oracle/instruction_maker.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cpu/state.h"
#include "tests/oracle/segments.h"

namespace calco::oracle {

using decode::Form;
using decode::Instruction;
using decode::Location;
using decode::Mnemonic;
using decode::OpcodeMap;
using decode::OperandKind;
using decode::Row;
namespace attribute = decode::attribute;
namespace prefix = decode::prefix;
using namespace cpu;

namespace {

bool is_vex(const Row& row) { return row.map >= OpcodeMap::Vex0F; }

bool uses(const Row& row, Location location) {
  return std::any_of(row.operands.begin(), row.operands.end(),
                     [&](const auto& operand) { return operand.location == location; });
}

// But for bit 17, which is AMD's misaligned SSE mode.
uint32_t random_mxcsr_with_reserved_bits(Random& random) { return static_cast<uint32_t>(random.integer()) & ~0x20000u; }

}  // namespace

// --- Encoding --------------------------------------------------------------------------------------------------------

void InstructionMaker::encode_prefixes(const Row& row) {
  std::vector<uint8_t> prefixes;
  if (!is_vex(row)) {
    if (row.prefixes == prefix::k66) prefixes.push_back(0x66);
    if (row.prefixes == prefix::kF3) prefixes.push_back(0xF3);
    if (row.prefixes == prefix::kF2) prefixes.push_back(0xF2);
  }
  const bool size_prefix =
      row.has(attribute::kSize16) || ((row.prefixes & prefix::k66) != 0 && random_.percent(25)) || random_.percent(1);
  // With 66 the host's MOVSXD reads 32 bits, Intel's manual says 16.
  const bool movsxd = row.mnemonic == Mnemonic::Movsxd;
  if (size_prefix && !movsxd && !row.has(attribute::kSize32 | attribute::kSize64) && !is_vex(row))
    prefixes.push_back(0x66);
  if (random_.percent(8)) prefixes.push_back(0x67);
  if (random_.percent(12)) {
    static constexpr uint8_t kSegments[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x64, 0x65};
    prefixes.push_back(random_.pick(kSegments));
  }
  const bool lockable = row.has(attribute::kLockable) && row.memory_form;
  // AMD processors take LOCK MOV CR0 for MOV CR8.
  const bool names_cr8 = uses(row, Location::RegControl);
  if (!names_cr8 && random_.percent(lockable ? 20 : 1)) prefixes.push_back(0xF0);
  // The host lets F2 and F3 change the condition of LOOPE and LOOPNE, which no manual says.
  const bool loop = row.mnemonic == Mnemonic::Loope || row.mnemonic == Mnemonic::Loopne;
  if (row.prefixes == prefix::kIgnored && !loop && random_.percent(is_string(row) ? 65 : 2)) {
    prefixes.push_back(random_.percent(50) ? 0xF2 : 0xF3);
  }
  for (size_t i = prefixes.size(); i > 1; --i) std::swap(prefixes[i - 1], prefixes[random_.below(i)]);
  out_.bytes = prefixes;
  if (!code_64_ || is_vex(row)) return;
  const bool wide = row.has(attribute::kW1 | attribute::kSize64) ||
                    (random_.percent(30) && !row.has(attribute::kW0 | attribute::kSize16 | attribute::kSize32));
  unsigned rex = 0;
  if (random_.percent(50)) rex = 0x40 | (random_.below(8));
  if (row.has(attribute::kWithoutRexB)) rex &= ~1u;
  if (wide) rex |= 0x48;
  if (rex != 0) byte(rex);
}

// SDM vol. 2, 2.3.5: the three-byte form, and sometimes the two-byte one where it can say the same.
void InstructionMaker::encode_vex(const Row& row) {
  const unsigned map = static_cast<unsigned>(row.map) - static_cast<unsigned>(OpcodeMap::Vex0F) + 1;
  unsigned pp = 0;
  if (row.prefixes == prefix::k66) pp = 1;
  if (row.prefixes == prefix::kF3) pp = 2;
  if (row.prefixes == prefix::kF2) pp = 3;
  const bool wide = row.has(attribute::kW1) || (!row.has(attribute::kW0) && random_.percent(40));
  const bool names_vvvv = uses(row, Location::VvvvGeneral) || uses(row, Location::VvvvVector);
  const unsigned vvvv = names_vvvv || random_.percent(3) ? random_.below(16) : 15;
  const bool long_vector = row.has(attribute::kL1) || random_.percent(row.has(attribute::kL0) ? 2 : 50);
  const unsigned length = long_vector ? 4 : 0;
  byte(0xC4);
  byte((code_64_ ? random_.below(8) << 5 : 0xE0) | map);
  byte((wide ? 0x80 : 0) | vvvv << 3 | length | pp);
}

void InstructionMaker::encode_modrm(const Row& row) {
  modrm_at_ = static_cast<unsigned>(out_.bytes.size());
  unsigned modrm = random_.below(256);
  if (row.digit >= 0) modrm = (modrm & 0xC7) | static_cast<unsigned>(row.digit) << 3;
  if (row.rm >= 0) modrm = (modrm & 0xF8) | static_cast<unsigned>(row.rm);
  if (row.has(attribute::kVsib) && random_.percent(98)) modrm = (modrm & 0xF8) | 4;
  const bool in_register = row.register_form && (!row.memory_form || random_.percent(45));
  if (in_register) {
    byte(modrm | 0xC0);
    return;
  }
  modrm = (modrm & 0x3F) | random_.below(3) << 6;
  byte(modrm);
  if ((modrm & 7) == 4) byte(random_.below(256));  // SIB
  // More than any displacement; the decoder says how much of it counts.
  const uint64_t displacement = random_.percent(50) ? random_.integer() : random_.below(256);
  for (unsigned i = 0; i < 4; ++i) byte(displacement >> i * 8 & 0xFF);
}

void InstructionMaker::encode(const Row& row) {
  out_ = {};
  encode_prefixes(row);
  unsigned opcode = row.opcode;
  if (row.form == Form::RegisterInOpcode) opcode |= random_.below(8);
  if (row.form == Form::ConditionInOpcode) opcode |= random_.below(16);
  if (is_vex(row)) {
    encode_vex(row);
  } else if (row.map != OpcodeMap::OneByte) {
    byte(0x0F);
    if (row.map == OpcodeMap::Map0F38) byte(0x38);
    if (row.map == OpcodeMap::Map0F3A) byte(0x3A);
  }
  byte(opcode);
  if (row.form == Form::ModRm || row.register_form || row.memory_form) encode_modrm(row);
}

MadeInstruction InstructionMaker::make(const Row& row) {
  encode(row);
  const size_t encoded = out_.bytes.size();
  // The displacement written above may be longer than the one that counts; immediates come from what follows.
  for (int word = 0; word < 2; ++word) {
    const uint64_t value = random_.integer();
    for (unsigned i = 0; i < 8; ++i) byte(value >> i * 8 & 0xFF);
  }
  const auto status = decode::decode(out_.bytes, code_size_, features_, out_.decoded);
  out_.valid = status == decode::Status::Ok;
  if (!out_.valid) {
    // Where only the model lacks it, the host has it.
    static const decode::FeatureSet kEvery = decode::FeatureSet().set();
    Instruction other;
    out_.unwanted = decode::decode(out_.bytes, code_size_, kEvery, other) == decode::Status::Ok;
    out_.bytes.resize(std::max<size_t>(out_.decoded.length, std::min<size_t>(encoded, 15)));
    return out_;
  }
  out_.bytes.resize(out_.decoded.length);
  place_memory();
  prepare();
  return out_;
}

// --- Memory ----------------------------------------------------------------------------------------------------------

unsigned InstructionMaker::memory_bytes() const {
  if (is_xsave(*out_.decoded.row)) return kXsaveArea;
  switch (out_.decoded.mnemonic) {
    case Mnemonic::Fxsave:
    case Mnemonic::Fxsave64:
    case Mnemonic::Fxrstor:
    case Mnemonic::Fxrstor64:
      return 512;
    case Mnemonic::Fnsave:
    case Mnemonic::Frstor:
      return 108;
    case Mnemonic::Fldenv:
    case Mnemonic::Fnstenv:
      return 28;
    case Mnemonic::Maskmovdqu:
    case Mnemonic::Vmaskmovdqu:
      return 16;
    case Mnemonic::Maskmovq:
      return 8;
    default:
      break;
  }
  for (const auto& operand : out_.decoded.operands) {
    if (operand.kind == OperandKind::Memory && operand.size != 0) return operand.size;
  }
  return 1;
}

uint64_t InstructionMaker::faulting_target(unsigned size) {
  const uint64_t inside = random_.below(size + 1);
  // Of operands longer than one access it is the processor's choice which part faults first, and what comes first of
  // alignment and limits.
  const bool around_limits = size <= 8;
  switch (random_.below(code_64_ ? (around_limits ? 9 : 7) : (around_limits ? 6 : 5))) {
    case 0:
      return kReadOnly + random_.below(kPage - kXsaveArea);
    case 1:
      return kReadOnly - inside;  // from writable into read-only
    case 2:
      return kDataEnd - inside;  // from read-only into nothing
    case 3:
      return kData - inside;  // from nothing into writable
    case 4:
      return kDataEnd + random_.below(size > 16 ? 1024 : kPage);
    case 5:
      return code_64_ ? kUnmappedHigh : 0xFFFFFFFF - random_.below(2 * size + 1);
    case 6:
      return kData + random_.below(kPage);  // misaligned
    case 7:
      return 0x800000000000 - inside;  // around the end of canonical addresses
    default:
      return random_.next();
  }
}

uint64_t InstructionMaker::choose_target(unsigned size, unsigned alignment) {
  if (random_.percent(faults_)) return faulting_target(size);
  uint64_t target = kData + random_.below(static_cast<unsigned>(kWritablePages * kPage - size));
  if (random_.percent(8)) target = kData + kPage - random_.below(size + 1);  // across two pages
  if (alignment > 1 || random_.percent(60))
    target &= ~uint64_t{std::max(alignment, size <= 16 ? std::bit_floor(size) : 16) - 1};
  return target;
}

uint64_t InstructionMaker::selector_of(unsigned segment) const {
  switch (segment) {
    case kCs:
      return initial_.code_selector;
    case kSs:
      return initial_.stack_selector;
    case kDs:
      return initial_.data_selectors[0];
    case kEs:
      return initial_.data_selectors[1];
    default:
      return initial_.data_selectors[segment == kFs ? 2 : 3];
  }
}

uint64_t InstructionMaker::base_of(unsigned segment) const {
  if (code_64_) return segment == kFs ? initial_.fs_base : segment == kGs ? initial_.gs_base : 0;
  return segment_base(selector_of(segment));
}

uint64_t InstructionMaker::noise(unsigned address_size) {
  return address_size == 8 ? 0 : random_.next() << (address_size * 8);
}

// The elements of a gather: mostly around `target`, each with its own index and choice.
void InstructionMaker::place_gather(uint64_t target) {
  const Instruction& instruction = out_.decoded;
  const decode::MemoryOperand& memory = instruction.memory;
  const bool wide = instruction.mnemonic == Mnemonic::Vpgatherqd || instruction.mnemonic == Mnemonic::Vpgatherqq ||
                    instruction.mnemonic == Mnemonic::Vgatherqps || instruction.mnemonic == Mnemonic::Vgatherqpd;
  VectorSetting index{memory.index}, mask{instruction.operands[2].number};
  for (unsigned i = 0; i < 8; ++i) {
    const bool far = faults_ != 0 && random_.percent(3);
    const uint64_t distance = far ? random_.integer() : random_.below(64) - uint64_t{32};
    if (!wide) index.value.dwords[i] = static_cast<uint32_t>(distance);
    if (wide && i < 4) index.value.qwords[i] = distance;
    mask.value.dwords[i] = static_cast<uint32_t>(random_.percent(60) ? random_.next() | 0x80000000 : random_.next());
  }
  out_.vectors = {index, mask};
  const uint64_t wanted = target - base_of(memory.segment) - static_cast<uint64_t>(memory.displacement);
  if (memory.base != kZero) set(memory.base, memory.address_size == 4 ? (wanted & 0xFFFFFFFF) | noise(4) : wanted);
  if (memory.base == kZero) {
    out_.displacement_at = modrm_at_ + 2;
    out_.target = target - base_of(memory.segment);
  }
}

// Gives the operand's registers values, or a displacement, such that its address is `target`.
void InstructionMaker::solve_address(uint64_t target) {
  const decode::MemoryOperand& memory = out_.decoded.memory;
  const uint64_t offset = target - base_of(memory.segment);
  const bool has_modrm = out_.decoded.row->form == Form::ModRm || modrm_at_ != 0;
  const unsigned mod = out_.decoded.modrm >> 6;
  const bool has_sib = has_modrm && (out_.decoded.modrm & 7) == 4 && memory.address_size != 2;
  const unsigned displacement_at = modrm_at_ + 1 + (has_sib ? 1 : 0);
  const bool has_index = memory.index != kZero;
  // What a displacement makes up for must be small.
  const bool small = memory.base == kZero || memory.base == memory.index || random_.percent(70);
  const uint64_t index = has_index ? (small ? random_.below(64) : random_.integer()) : 0;
  const uint64_t scaled = index << memory.scale;
  const uint64_t mask = memory.address_size == 8 ? ~uint64_t{0} : (uint64_t{1} << memory.address_size * 8) - 1;
  const auto give = [&](unsigned number, uint64_t value) { set(number, (value & mask) | noise(memory.address_size)); };
  const auto give_displacement = [&](uint64_t value) {
    out_.displacement_at = displacement_at;
    out_.displacement_size = memory.address_size == 2 ? 2 : 4;
    out_.relative_to_end = memory.base == kRip;
    out_.target = value;
  };
  if (memory.base == kZero || memory.base == kRip) {
    if (!has_modrm) return;
    give_displacement(offset - scaled);
    if (has_index) give(memory.index, index);
    return;
  }
  const uint64_t wanted = offset - static_cast<uint64_t>(memory.displacement);
  if (!has_index) {
    give(memory.base, wanted);
  } else if (memory.index != memory.base) {
    give(memory.index, index);
    give(memory.base, wanted - scaled);
  } else if (mod == 2) {
    set(memory.base, index);
    give_displacement(offset - index - scaled);
  } else {
    set(memory.base, wanted / (1 + (uint64_t{1} << memory.scale)));
  }
}

void InstructionMaker::poke(uint64_t address, std::span<const uint8_t> bytes) {
  if (address < kData || address + bytes.size() > kDataEnd) return;
  out_.pokes.push_back({address, {bytes.begin(), bytes.end()}});
}

// Mostly legal; components are those of x87, SSE and AVX (SDM vol. 1, 13.4).
void InstructionMaker::fill_xsave_area(uint64_t target) {
  FxsaveArea legacy = random_fx(random_, false);
  if (random_.percent(5)) legacy.mxcsr = random_mxcsr_with_reserved_bits(random_);
  poke_value(target, legacy);
  constexpr uint64_t kCompacted = uint64_t{1} << 63;
  std::array<uint64_t, 8> header{};
  header[0] = random_.below(8);
  if (random_.percent(40)) header[1] = kCompacted | header[0] | random_.below(8);
  // Which comes first of an illegal header and a page fault is written nowhere.
  const bool inside = target >= kData && target + kXsaveArea <= kDataEnd;
  if (inside && random_.percent(5)) header[1] = kCompacted | random_.below(8);
  if (inside && random_.percent(5)) header[1 + random_.below(7)] = random_.integer() & ~uint64_t{0xFFFFF8};
  poke_value(target + sizeof(legacy), header);
  for (uint64_t at = sizeof(legacy) + sizeof(header); at < kXsaveArea; at += sizeof(VectorSlot)) {
    poke_value(target + at, random_.vector());
  }
}

// Contents that the instruction is interested in.
void InstructionMaker::fill_memory(uint64_t target) {
  const unsigned size = memory_bytes();
  switch (out_.decoded.mnemonic) {
    case Mnemonic::Xrstor:
    case Mnemonic::Xrstor64:
      fill_xsave_area(target);
      return;
    case Mnemonic::Fxrstor:
    case Mnemonic::Fxrstor64:
    case Mnemonic::Frstor:
    case Mnemonic::Fldenv: {
      FxsaveArea area = random_fx(random_, false);
      if (random_.percent(10)) area.mxcsr = random_mxcsr_with_reserved_bits(random_);
      poke_value(target, area);
      return;
    }
    case Mnemonic::Ldmxcsr:
    case Mnemonic::Vldmxcsr:
      poke_value(target,
                 random_.percent(90) ? random_fx(random_, false).mxcsr : random_mxcsr_with_reserved_bits(random_));
      return;
    case Mnemonic::Fbld: {
      std::array<uint8_t, 10> digits;
      for (uint8_t& pair : digits) pair = static_cast<uint8_t>(random_.below(10) << 4 | random_.below(10));
      digits[9] = random_.percent(50) ? 0x80 : 0;
      if (random_.percent(85)) poke_value(target, digits);
      return;
    }
    default:
      break;
  }
  if (size == 10) {
    const X87Slot slot = random_.extended();
    poke(target, {reinterpret_cast<const uint8_t*>(&slot), 10});
  } else if (random_.percent(30) && size <= 32) {
    for (unsigned at = 0; at < size; at += 16) {
      const VectorSlot slot = random_.vector();
      poke(target + at, {slot.bytes.data(), std::min(size - at, 16u)});
    }
  }
}

void InstructionMaker::place_memory() {
  const Instruction& instruction = out_.decoded;
  if (!instruction.has_memory() || is_string(*instruction.row)) return;
  if (instruction.mnemonic == Mnemonic::Lea && instruction.memory.base != kRip && random_.percent(80)) return;
  const unsigned size = memory_bytes();
  const bool aligned =
      instruction.row->has(attribute::kAligned) || size >= 512 || instruction.mnemonic == Mnemonic::Cmpxchg16b;
  // The host does not check the alignment of SHA's operands, Intel's manual does.
  const bool strict = instruction.row->feature == decode::Feature::Sha;
  const unsigned alignment = size == kXsaveArea ? 64 : size == 32 ? 32 : 16;
  uint64_t target = choose_target(size, aligned && random_.percent(96) ? alignment : 1);
  // The host wants offsets into FS and GS to be canonical, too.
  const bool based = code_64_ && (instruction.memory.segment == kFs || instruction.memory.segment == kGs);
  if (based && target >= kUnmappedHigh) target = kUnmappedHigh;
  const bool limited_stack = !code_64_ && instruction.memory.segment == kSs;
  if (strict || (aligned && (limited_stack || target >= kDataEnd))) target &= ~uint64_t{alignment - 1};
  // Cannot be placed exactly; and ESP's upper half is the host area's on a 16-bit stack.
  const bool near_host_area = !code_64_ && initial_.stack_selector == kLocalData16 && is_address_register(kRsp);
  out_.unwanted = near_host_area || (aligned && instruction.memory.index == instruction.memory.base);
  // In which parts long operands and masked stores check the segment's limit is written nowhere.
  const bool masked = instruction.mnemonic == Mnemonic::Maskmovq || instruction.mnemonic == Mnemonic::Maskmovdqu ||
                      instruction.mnemonic == Mnemonic::Vmaskmovdqu || instruction.mnemonic == Mnemonic::Vmaskmovps ||
                      instruction.mnemonic == Mnemonic::Vmaskmovpd || instruction.mnemonic == Mnemonic::Vpmaskmovd ||
                      instruction.mnemonic == Mnemonic::Vpmaskmovq;
  if (!code_64_ && (masked || size > 16)) {
    const uint64_t offset = static_cast<uint32_t>(target - base_of(instruction.memory.segment));
    const bool wraps = masked && offset + size > uint64_t{1} << 32;
    if (wraps || selector_of(instruction.memory.segment) == kLocalExpandDown16) out_.unwanted = true;
  }
  const bool bit_string = uses(*instruction.row, Location::RegGeneral) &&
                          (instruction.mnemonic == Mnemonic::Bt || instruction.mnemonic == Mnemonic::Bts ||
                           instruction.mnemonic == Mnemonic::Btr || instruction.mnemonic == Mnemonic::Btc);
  if (bit_string && (based || random_.percent(90))) {
    const unsigned number = instruction.operands[1].number;
    set(number, random_.below(1024) - uint64_t{512});
    if (based && is_address_register(number)) out_.unwanted = true;
  }
  if (uses(*instruction.row, Location::Offset)) {
    const uint64_t offset = target - base_of(instruction.memory.segment);
    for (unsigned i = 0; i < instruction.address_size; ++i) {
      out_.bytes[out_.bytes.size() - instruction.address_size + i] = static_cast<uint8_t>(offset >> i * 8);
    }
    return;
  }
  out_.memory_target = target;
  out_.memory_size = size;
  if (instruction.row->has(attribute::kVsib)) {
    place_gather(target);
    return;
  }
  solve_address(target);
  fill_memory(target);
}

// --- Values ----------------------------------------------------------------------------------------------------------

uint16_t random_selector(Random& random) {
  static constexpr uint16_t kSelectors[] = {0,    1,    2,    3,    0x8,  0x10, 0x18, 0x1B, 0x20,   0x23, 0x28,
                                            0x2B, 0x2A, 0x30, 0x33, 0x38, 0x40, 0x43, 0x50, 0x60,   0x6B, 0x73,
                                            0x80, 0x83, 0x04, 0x07, 0x2B, 0x2B, 0x2B, 0x23, 0xFFFF, 0x0F, 0x0E,
                                            0x17, 0x1F, 0x27, 0x2F, 0x37, 0x3F, 0x17, 0x27};
  return random.pick(kSelectors);
}

FxsaveArea random_fx(Random& random, bool in_block) {
  FxsaveArea fx;
  fx.control = static_cast<uint16_t>(0x7F | random.below(16) << 8);
  if (random.percent(60)) fx.control |= 0x300;
  if (random.percent(in_block ? 3 : 20)) fx.control &= static_cast<uint16_t>(~random.below(64));
  unsigned status = random.below(8) << 11;  // TOP
  if (random.percent(40)) status |= random.next() & 0x4700;
  if (random.percent(30)) status |= random.next() & 0x7F;
  if (in_block || random.percent(90)) status &= fx.control | ~0x3Fu;
  if ((status & 0x3F & ~fx.control) != 0) status |= 0x8080;  // pending
  fx.status = static_cast<uint16_t>(status);
  fx.valid = static_cast<uint8_t>(random.percent(60) ? 0xFF : random.next());
  if (random.percent(15)) fx.valid = 0;
  // AMD processors load the error pointers only where an exception is pending.
  if ((status & 0x80) != 0) {
    fx.opcode = random.next() & 0x7FF;
    fx.instruction_pointer = random.next() >> 17;
    fx.data_pointer = random.next() >> 17;
  }
  fx.mxcsr = 0x1F80 | random.below(4) << 13;
  if (random.percent(30)) fx.mxcsr |= random.next() & 0x3F;
  if (random.percent(15)) fx.mxcsr |= 0x8000;
  if (random.percent(15)) fx.mxcsr |= 0x40;
  if (random.percent(in_block ? 3 : 15)) fx.mxcsr &= static_cast<uint32_t>(~(random.below(64) << 7));
  for (X87Slot& slot : fx.st) {
    slot = random.extended();
    if (random.percent(25)) slot = {random.memory_word(), 0xFFFF, {}};  // as MMX instructions leave it
  }
  for (VectorSlot& slot : fx.xmm) slot = random.vector();
  return fx;
}

}  // namespace calco::oracle
