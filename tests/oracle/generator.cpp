#include "tests/oracle/generator.h"

#include <algorithm>
#include <cstring>

#include "cpu/state.h"
#include "tests/oracle/excluded_rows.h"
#include "tests/oracle/instruction_maker.h"
#include "tests/oracle/native_cpu.h"
#include "tests/oracle/segments.h"

namespace calco::oracle {

using decode::CodeSize;
using decode::Row;
using namespace cpu;

namespace {

// Tests that share the contents of the data pages.
constexpr uint64_t kTestsPerMemory = 512;

void append_move(std::vector<uint8_t>& code, CodeSize code_size, const RegisterSetting& setting) {
  const bool code_64 = code_size == CodeSize::Bits64;
  if (code_size == CodeSize::Bits16) code.push_back(0x66);
  if (code_64) code.push_back(setting.number < 8 ? 0x48 : 0x49);
  code.push_back(static_cast<uint8_t>(0xB8 | (setting.number & 7)));
  for (unsigned i = 0; i < (code_64 ? 8u : 4u); ++i) code.push_back(static_cast<uint8_t>(setting.value >> i * 8));
}

// VMOVDQU from 32 bytes in the code. Only 64-bit code has addresses that count from RIP.
void append_vector_load(std::vector<uint8_t>& code, const VectorSetting& setting) {
  constexpr uint8_t kJumpBehind[] = {0xEB, 32};
  code.insert(code.end(), std::begin(kJumpBehind), std::end(kJumpBehind));
  code.insert(code.end(), setting.value.bytes.begin(), setting.value.bytes.end());
  const auto extension = static_cast<uint8_t>(setting.number < 8 ? 0xE1 : 0x61);
  const auto modrm = static_cast<uint8_t>(0x05 | (setting.number & 7) << 3);
  constexpr uint8_t kBack = 256 - 32 - 9;
  code.insert(code.end(), {0xC4, extension, 0x7E, 0x6F, modrm, kBack, 0xFF, 0xFF, 0xFF});
}

void patch(std::vector<uint8_t>& code, size_t at, unsigned size, uint64_t value) {
  for (unsigned i = 0; i < size; ++i) code[at + i] = static_cast<uint8_t>(value >> i * 8);
}

// What the manual leaves undefined of this one: for shifts and rotations that depends on the count (SDM vol. 2).
uint64_t undefined_flags(const decode::Instruction& instruction, uint64_t rcx) {
  using decode::Mnemonic;
  const decode::FlagEffect& flags = instruction.row->flags;
  const bool is_double = instruction.mnemonic == Mnemonic::Shld || instruction.mnemonic == Mnemonic::Shrd;
  const decode::Operand& source = instruction.operands[is_double ? 2 : 1];
  const bool shifts = instruction.row->group == decode::Group::Shift && flags.undefined != 0;
  if (!shifts) return flags.undefined;
  const unsigned bits = instruction.operands[0].size * 8;
  const uint64_t wide_count = source.kind == decode::OperandKind::Immediate ? instruction.immediate : rcx;
  const unsigned count = wide_count & (bits == 64 ? 63 : 31);
  if (count == 0) return 0;
  uint64_t undefined = flags.undefined & rflags::kAf;
  if (count != 1) undefined |= rflags::kOf;
  const bool loses_carry = is_double || instruction.mnemonic == Mnemonic::Shl || instruction.mnemonic == Mnemonic::Shr;
  if (loses_carry && count > bits) undefined |= rflags::kCf;
  return undefined;
}

class TestBuilder {
 public:
  TestBuilder(Random& random, const GeneratorOptions& options, const std::vector<const Row*>& rows,
              const std::vector<const Row*>& x87_rows, decode::CodeSize code_size, std::vector<uint64_t>& coverage)
      : random_(random),
        options_(options),
        rows_(rows),
        x87_rows_(x87_rows),
        code_size_(code_size),
        coverage_(coverage) {}

  TestCase build() {
    test_.code_size = code_size_;
    test_.instructions = options_.block_length;
    initial_state();
    for (unsigned i = 0; i < options_.block_length; ++i) add_instruction();
    for (const Branch& branch : branches_) resolve(branch);
    return std::move(test_);
  }

 private:
  struct Branch {
    size_t at;
    unsigned size;
    size_t end;
    size_t unit;  // its own number
  };

  bool in_block() const { return options_.block_length > 1; }

  void initial_state() {
    MachineImage& image = test_.initial;
    for (uint64_t& value : image.registers) value = random_.integer();
    image.rsp = kStack + random_.below(256) * uint64_t{random_.percent(90) ? 8u : 1u};
    if (!in_block() && random_.percent(3)) image.rsp = kData + random_.below(40) - 20;
    image.registers[kRsp] = image.rsp;
    image.rflags = 0x202 | (random_.next() & rflags::kArithmetic);
    if (random_.percent(15)) image.rflags |= rflags::kDf;
    if (!in_block() && random_.percent(2)) image.rflags |= rflags::kAc;
    if (!in_block() && random_.percent(4)) image.rflags |= rflags::kTf;
    image.fx = random_fx(random_, in_block());
    if (__builtin_cpu_supports("avx") && random_.percent(80)) {
      for (VectorSlot& slot : image.ymm_high) slot = random_.vector();
    }
    const bool at_page_end = random_.percent(in_block() ? 50 : 10);
    test_.code_address = kCode + 64 + (at_page_end ? kPage - 80 + random_.below(32) : random_.below(1024));
    image.rip = test_.code_address;
    if (code_64()) {
      image.fs_base = random_.percent(80) ? random_.below(0x10000) : random_.next() >> 17;
      image.gs_base = random_.percent(80) ? random_.below(0x10000) : random_.next() >> 17;
      return;
    }
    choose_segments();
    for (uint64_t& value : image.registers) value &= 0xFFFFFFFF;
    for (unsigned i = 8; i < 16; ++i) image.registers[i] = 0;
    image.rip -= segment_base(image.code_selector);
    image.rsp -= stack_base();
    set_stack_pointer(image.rsp);
  }

  // IRET to a 16-bit stack leaves the upper half of ESP, which is the host area's then.
  void set_stack_pointer(uint64_t value) {
    MachineImage& image = test_.initial;
    const bool word = !code_64() && image.stack_selector == kLocalData16;
    image.rsp = word ? (value & 0xFFFF) | (NativeCpu::kEntryStack & 0xFFFF0000) : value;
    image.registers[kRsp] = image.rsp;
  }

  // Flat or local segments; in blocks only those that all addresses of the code size reach.
  void choose_segments() {
    MachineImage& image = test_.initial;
    static constexpr uint16_t kAnyData[] = {kDataSelector, kLocalData16,       kLocalData32,
                                            kLocalData16,  kLocalExpandDown16, kLocalReadOnly32};
    static constexpr uint16_t kNear[] = {kLocalData16, kLocalData32};
    static constexpr uint16_t kStacks[] = {kDataSelector, kLocalData16, kLocalData32};
    const bool word = code_size_ == CodeSize::Bits16;
    image.code_selector = word ? kLocalCode16 : (random_.percent(70) ? kCode32Selector : kLocalCode32);
    image.stack_selector = word || random_.percent(30) ? random_.pick(kStacks) : kDataSelector;
    for (uint16_t& selector : image.data_selectors) {
      selector = kDataSelector;
      if (word && (in_block() || random_.percent(60))) {
        selector = random_.pick(kNear);
      } else if (word || (!in_block() && random_.percent(30))) {
        selector = random_.pick(kAnyData);
      }
    }
    if (word && in_block()) image.stack_selector = random_.pick(kNear);
  }

  uint64_t address() const { return test_.code_address + test_.code.size(); }
  bool code_64() const { return code_size_ == CodeSize::Bits64; }
  uint64_t stack_base() const { return code_64() ? 0 : segment_base(test_.initial.stack_selector); }
  // Linear address of the top of the stack.
  uint64_t stack_top() const {
    const bool word = !code_64() && test_.initial.stack_selector == kLocalData16;
    return stack_base() + (word ? test_.initial.rsp & 0xFFFF : test_.initial.rsp);
  }

  MadeInstruction choose() {
    const unsigned faults = in_block() ? 0 : 8;
    for (;;) {
      const bool x87 = options_.x87_percent != 0 && random_.percent(options_.x87_percent);
      const std::vector<const Row*>& rows = x87 ? x87_rows_ : rows_;
      const Row& row = *rows[random_.below(static_cast<unsigned>(rows.size()))];
      InstructionMaker maker(random_, options_.features, test_.initial, code_size_, faults);
      MadeInstruction made = maker.make(row);
      if (made.unwanted) continue;
      if (!made.valid && (in_block() || !random_.percent(30))) continue;
      if (made.valid && reason_for_exclusion(*made.decoded.row, options_.features) != nullptr) continue;
      if (made.valid && in_block() && breaks_blocks(made.decoded)) continue;
      if (made.valid) ++coverage_[static_cast<size_t>(made.decoded.row - decode::rows().data())];
      return made;
    }
  }

  // Instructions that would end most blocks at once.
  bool breaks_blocks(const decode::Instruction& instruction) const {
    using decode::Mnemonic;
    // They unmask exceptions, of which most blocks have one.
    const bool loads_x87_control = instruction.mnemonic == Mnemonic::Fldcw ||
                                   instruction.mnemonic == Mnemonic::Fldenv || instruction.mnemonic == Mnemonic::Frstor;
    if (loads_x87_control) return options_.x87_percent == 0;
    if (instruction.row->has(decode::attribute::kPrivileged)) return true;
    switch (instruction.row->group) {
      case decode::Group::Far:
      case decode::Group::InputOutput:
      case decode::Group::Segment:
        return true;
      case decode::Group::System:
        return instruction.mnemonic == Mnemonic::Ud0 || instruction.mnemonic == Mnemonic::Ud1 ||
               instruction.mnemonic == Mnemonic::Ud2 || instruction.mnemonic == Mnemonic::Rsm;
      case decode::Group::Control:
        return instruction.mnemonic == Mnemonic::Ret || instruction.mnemonic == Mnemonic::Bound ||
               (instruction.operands[0].kind == decode::OperandKind::Relative && instruction.operand_size == 2 &&
                code_size_ != CodeSize::Bits16) ||
               ((instruction.mnemonic == Mnemonic::Jmp || instruction.mnemonic == Mnemonic::Call) &&
                instruction.operands[0].kind != decode::OperandKind::Relative);
      default:
        if (is_xsave(*instruction.row)) return true;
        if (instruction.row->has(decode::attribute::kVsib) && code_size_ != CodeSize::Bits64) return true;
        return instruction.mnemonic == Mnemonic::Cli || instruction.mnemonic == Mnemonic::Sti ||
               instruction.mnemonic == Mnemonic::Popf || instruction.mnemonic == Mnemonic::Leave || instruction.lock ||
               instruction.address_size == 2 || instruction.mnemonic == Mnemonic::Ldmxcsr ||
               instruction.mnemonic == Mnemonic::Vldmxcsr || instruction.mnemonic == Mnemonic::Fxrstor ||
               instruction.mnemonic == Mnemonic::Fxrstor64 || instruction.mnemonic == Mnemonic::Fxsave ||
               instruction.mnemonic == Mnemonic::Fxsave64;
    }
  }

  bool uses_stack(const decode::Instruction& instruction) const {
    using decode::Mnemonic;
    switch (instruction.mnemonic) {
      case Mnemonic::Push:
      case Mnemonic::Pop:
      case Mnemonic::Pushf:
      case Mnemonic::Pusha:
      case Mnemonic::Popa:
      case Mnemonic::Enter:
      case Mnemonic::Call:
        return true;
      default:
        return false;
    }
  }

  void add_instruction() {
    MadeInstruction made = choose();
    units_.push_back(test_.code.size());
    if (in_block()) {
      if (uses_stack(made.decoded) && random_.percent(60)) {
        append_move(test_.code, code_size_, {kRsp, kStack - stack_base() + random_.below(64) * uint64_t{8}});
      }
      for (const VectorSetting& setting : made.vectors) append_vector_load(test_.code, setting);
      for (const RegisterSetting& setting : made.settings) append_move(test_.code, code_size_, setting);
    } else {
      for (const RegisterSetting& setting : made.settings) apply(setting);
      for (const VectorSetting& setting : made.vectors) apply(setting);
    }
    test_.pokes.insert(test_.pokes.end(), made.pokes.begin(), made.pokes.end());
    const uint64_t end = address() + made.bytes.size();
    if (made.displacement_at != 0) {
      patch(made.bytes, made.displacement_at, made.displacement_size, made.target - (made.relative_to_end ? end : 0));
    }
    test_.code.insert(test_.code.end(), made.bytes.begin(), made.bytes.end());
    if (made.branch_size != 0) {
      const size_t at = test_.code.size() - made.bytes.size() + made.branch_at;
      branches_.push_back({at, made.branch_size, test_.code.size(), units_.size() - 1});
    }
    if (!made.valid) return;
    if (!in_block()) {
      if (!options_.compare_undefined_flags) {
        test_.open_flags = undefined_flags(made.decoded, test_.initial.registers[kRcx]);
      }
      test_.open_fault_address = made.memory_size > 16 && made.memory_size != 32;
      const bool other_order = made.decoded.mnemonic == decode::Mnemonic::Maskmovdqu ||
                               made.decoded.mnemonic == decode::Mnemonic::Vmaskmovdqu ||
                               made.decoded.mnemonic == decode::Mnemonic::RetFar ||
                               made.decoded.mnemonic == decode::Mnemonic::Iret;
      if (test_.open_fault_address || other_order)
        test_.initial.rflags &= ~rflags::kAc;  // the same holds for alignment
      // A trap that waits for the end of a gather comes before the fault of a later element.
      if (made.decoded.row->has(decode::attribute::kVsib)) test_.initial.rflags &= ~rflags::kTf;
      // Upper halves that became 0 count as in use on the host, but after VZEROUPPER.
      if (is_xsave(*made.decoded.row)) test_.initial.ymm_high[0].qwords[0] |= 1;
      if (made.memory_size == 512 || made.memory_size == kXsaveArea) {
        test_.open_memory = made.memory_target + 28;
        test_.open_memory_size = 4;
      }
      stack_contents(made.decoded);
    } else if (made.decoded.row->flags.undefined != 0) {
      // CMP defines all flags again.
      test_.code.insert(test_.code.end(), {0x39, static_cast<uint8_t>(0xC0 | random_.below(64))});
    }
  }

  void apply(const VectorSetting& setting) {
    std::memcpy(&test_.initial.fx.xmm[setting.number], &setting.value.qwords[0], 16);
    std::memcpy(&test_.initial.ymm_high[setting.number], &setting.value.qwords[2], 16);
  }

  void apply(const RegisterSetting& setting) {
    const uint64_t value = code_64() ? setting.value : setting.value & 0xFFFFFFFF;
    test_.initial.registers[setting.number] = value;
    if (setting.number == kRsp) set_stack_pointer(value);
  }

  // What RET and POP find on the stack.
  void stack_contents(const decode::Instruction& instruction) {
    using decode::Mnemonic;
    const uint64_t top = stack_top();
    uint64_t value = 0;
    switch (instruction.mnemonic) {
      case Mnemonic::Ret:
        value = random_.percent(70) ? kCode + 16 - (code_64() ? 0 : segment_base(test_.initial.code_selector))
                                    : (random_.percent(50) ? kData : random_.integer());
        break;
      case Mnemonic::Popf:
        value = random_.next() & ~uint64_t{0x40};
        break;
      case Mnemonic::Pop:
        if (instruction.operands[0].kind != decode::OperandKind::Segment) return;
        value = random_selector(random_);
        break;
      default:
        return;
    }
    if (top < kData || top + 8 > kDataEnd) return;
    Poke poke{top, std::vector<uint8_t>(8)};
    std::memcpy(poke.bytes.data(), &value, 8);
    test_.pokes.push_back(poke);
  }

  // Branches go forward: in blocks to one of the next instructions, alone past the jump to kExit.
  void resolve(const Branch& branch) {
    uint64_t displacement = 0;
    if (in_block()) {
      const size_t unit = branch.unit + 1 + random_.below(3);
      const size_t target = unit < units_.size() ? units_[unit] : test_.code.size();
      displacement = target - branch.end;
      if (branch.size == 1 && displacement > 127)
        displacement = units_[std::min(branch.unit + 1, units_.size() - 1)] - branch.end;
      if (branch.size == 1 && displacement > 127) displacement = 0;
    } else if (branch.size == 1) {
      displacement = random_.percent(50) ? 16 + random_.below(112) : 0 - uint64_t{32} - random_.below(90);
      if (random_.percent(20)) displacement = 0;
    } else {
      const auto anywhere = static_cast<int64_t>(static_cast<int32_t>(random_.integer()));
      displacement = random_.percent(60) ? 16 + random_.below(1000) : static_cast<uint64_t>(anywhere);
      if (displacement > 0 - uint64_t{32}) displacement = 16;
      if (displacement < 16) displacement = 0;
    }
    patch(test_.code, branch.at, branch.size, displacement);
  }

  Random& random_;
  const GeneratorOptions& options_;
  const std::vector<const Row*>& rows_;
  const std::vector<const Row*>& x87_rows_;
  const CodeSize code_size_;
  std::vector<uint64_t>& coverage_;
  TestCase test_;
  std::vector<size_t> units_;  // offsets where instructions (with their settings) begin
  std::vector<Branch> branches_;
};

}  // namespace

Generator::Generator(GeneratorOptions options) : options_(std::move(options)), coverage_(decode::rows().size()) {
  for (const Row& row : decode::rows()) {
    if (!wanted(row)) continue;
    if (row.group == decode::Group::X87) rows_x87_.push_back(&row);
    if (!row.has(decode::attribute::kInvalid64)) rows_64_.push_back(&row);
    // VEX.W can be set in any code, REX.W cannot.
    const bool rex_w = row.has(decode::attribute::kW1) && row.map < decode::OpcodeMap::Vex0F;
    if (!rex_w && !row.has(decode::attribute::kOnly64 | decode::attribute::kSize64)) rows_32_.push_back(&row);
  }
}

bool Generator::wanted(const Row& row) const {
  if (reason_for_exclusion(row, options_.features) != nullptr) return false;
  return options_.mnemonic.empty() || options_.mnemonic == decode::name(row.mnemonic);
}

TestCase Generator::make(uint64_t number) {
  Random random(options_.seed * 0x9E3779B97F4A7C15 + number * 0xD1342543DE82EF95);
  CodeSize size = CodeSize::Bits64;
  if (options_.code == GeneratorOptions::Code::Only32) size = CodeSize::Bits32;
  if (options_.code == GeneratorOptions::Code::Only16) size = CodeSize::Bits16;
  if (options_.code == GeneratorOptions::Code::All && random.percent(30)) {
    size = random.percent(50) ? CodeSize::Bits32 : CodeSize::Bits16;
  }
  if (rows_32_.empty()) size = CodeSize::Bits64;
  if (rows_64_.empty() && size == CodeSize::Bits64) size = CodeSize::Bits32;
  const std::vector<const Row*>& rows = size == CodeSize::Bits64 ? rows_64_ : rows_32_;
  TestCase test = TestBuilder(random, options_, rows, rows_x87_, size, coverage_).build();
  test.memory_seed = options_.seed ^ (number / kTestsPerMemory) * 0x2545F4914F6CDD1D;
  return test;
}

}  // namespace calco::oracle
