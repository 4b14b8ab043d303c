#include "machine/debugger/gdb_registers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "cpu/exec/x87_state.h"

namespace calco::machine {
namespace {

using cpu::Cpu;

// 16 bytes hold every register.
using Value = std::array<uint64_t, 2>;

// A row of the table below. `index`: which of its kind.
struct Register {
  std::string_view name;
  std::string_view type;  // in the target description
  unsigned bits;
  unsigned index;
  Value (*read)(const Cpu& cpu, unsigned index);
  bool (*write)(Cpu& cpu, unsigned index, const Value& value);  // null: read-only
};

Value read_general(const Cpu& cpu, unsigned index) { return {cpu.registers[index], 0}; }
bool write_general(Cpu& cpu, unsigned index, const Value& value) {
  cpu.registers[index] = value[0];
  return true;
}

Value read_flags(const Cpu& cpu, unsigned) { return {cpu::rflags_value(cpu), 0}; }
// VM and the reserved bits stay: they are a mode, which more than flags belongs to.
bool write_flags(Cpu& cpu, unsigned, const Value& value) {
  constexpr uint64_t kWritable = cpu::rflags::kArithmetic | cpu::rflags::kTf | cpu::rflags::kIf | cpu::rflags::kDf |
                                 cpu::rflags::kIopl | cpu::rflags::kNt | cpu::rflags::kRf | cpu::rflags::kAc |
                                 cpu::rflags::kId;
  cpu::set_rflags_value(cpu, (cpu::rflags_value(cpu) & ~kWritable) | (value[0] & kWritable));
  cpu.recheck_interrupts();
  return true;
}

Value read_selector(const Cpu& cpu, unsigned index) { return {cpu.segments[index].selector, 0}; }

Value read_segment_base(const Cpu& cpu, unsigned index) { return {cpu.segments[index].base, 0}; }
bool write_segment_base(Cpu& cpu, unsigned index, const Value& value) {
  cpu.segments[index].base = value[0];
  return true;
}

Value read_stack_register(const Cpu& cpu, unsigned index) {
  const cpu::X87Register& st = cpu.x87.physical[cpu::x87_physical(cpu.x87, index)];
  return {st.significand, st.sign_exponent};
}
bool write_stack_register(Cpu& cpu, unsigned index, const Value& value) {
  cpu::X87Register& st = cpu::x87_st(cpu.x87, index);
  st.significand = value[0];
  st.sign_exponent = static_cast<uint16_t>(value[1]);
  return true;
}

// Two bits a physical register: valid, zero, special, empty (SDM vol. 1, 8.1.7).
unsigned tag_of(const cpu::X87State& x87, unsigned physical) {
  if ((x87.empty >> physical & 1) != 0) return 3;
  const cpu::X87Register& value = x87.physical[physical];
  const unsigned exponent = value.sign_exponent & 0x7FFF;
  if (exponent == 0 && value.significand == 0) return 1;
  const bool normal = exponent != 0 && exponent != 0x7FFF && value.significand >> 63 != 0;
  return normal ? 0 : 2;
}

enum X87Word : unsigned {
  kControl,
  kStatus,
  kTags,
  kInstructionSelector,
  kInstructionOffset,
  kDataSelector,
  kDataOffset,
  kOpcode
};

Value read_x87_word(const Cpu& cpu, unsigned index) {
  const cpu::X87State& x87 = cpu.x87;
  switch (index) {
    case kControl:
      return {x87.control, 0};
    case kStatus:
      return {cpu::x87_status_word(x87), 0};
    case kTags: {
      uint64_t tags = 0;
      for (unsigned physical = 0; physical < 8; ++physical) tags |= uint64_t{tag_of(x87, physical)} << (2 * physical);
      return {tags, 0};
    }
    case kInstructionSelector:
      return {x87.code_selector, 0};
    case kInstructionOffset:
      return {static_cast<uint32_t>(x87.instruction_pointer), 0};
    case kDataSelector:
      return {x87.data_selector, 0};
    case kDataOffset:
      return {static_cast<uint32_t>(x87.data_pointer), 0};
    default:
      return {x87.opcode, 0};
  }
}

bool write_x87_control(Cpu& cpu, unsigned, const Value& value) {
  cpu::x87_set_words(cpu, static_cast<uint16_t>(value[0]), cpu::x87_status_word(cpu.x87));
  return true;
}
bool write_x87_status(Cpu& cpu, unsigned, const Value& value) {
  cpu::x87_set_words(cpu, cpu.x87.control, static_cast<uint16_t>(value[0]));
  return true;
}

Value read_vector(const Cpu& cpu, unsigned index) {
  return {cpu.vectors[index].qwords[0], cpu.vectors[index].qwords[1]};
}
bool write_vector(Cpu& cpu, unsigned index, const Value& value) {
  cpu.vectors[index].qwords[0] = value[0];
  cpu.vectors[index].qwords[1] = value[1];
  return true;
}

Value read_mxcsr(const Cpu& cpu, unsigned) { return {cpu.mxcsr, 0}; }
bool write_mxcsr(Cpu& cpu, unsigned, const Value& value) {
  if (value[0] > 0xFFFF) return false;  // reserved bits (SDM vol. 1, 10.2.3)
  cpu.mxcsr = static_cast<uint32_t>(value[0]);
  return true;
}

template <uint64_t cpu::CpuState::* kMember>
Value read_member(const Cpu& cpu, unsigned) {
  return {cpu.*kMember, 0};
}

constexpr Register general(std::string_view name, unsigned index, std::string_view type = "int64") {
  return {name, type, 64, index, read_general, write_general};
}
constexpr Register selector(std::string_view name, unsigned index) {
  return {name, "int32", 32, index, read_selector, nullptr};
}
constexpr Register stack_register(std::string_view name, unsigned index) {
  return {name, "i387_ext", 80, index, read_stack_register, write_stack_register};
}
constexpr Register x87_word(std::string_view name, X87Word index, decltype(Register::write) write = nullptr) {
  return {name, "int", 32, index, read_x87_word, write};
}
constexpr Register vector(std::string_view name, unsigned index) {
  return {name, "vec128", 128, index, read_vector, write_vector};
}
constexpr Register segment_base(std::string_view name, unsigned index) {
  return {name, "int64", 64, index, read_segment_base, write_segment_base};
}
template <uint64_t cpu::CpuState::* kMember>
constexpr Register system_register(std::string_view name) {
  return {name, "int64", 64, 0, read_member<kMember>, nullptr};
}

// In the order of the target description, and so of gdb's numbers.
constexpr auto kRegisters = std::to_array<Register>({
    general("rax", cpu::kRax),
    general("rbx", cpu::kRbx),
    general("rcx", cpu::kRcx),
    general("rdx", cpu::kRdx),
    general("rsi", cpu::kRsi),
    general("rdi", cpu::kRdi),
    general("rbp", cpu::kRbp, "data_ptr"),
    general("rsp", cpu::kRsp, "data_ptr"),
    general("r8", cpu::kR8),
    general("r9", cpu::kR9),
    general("r10", cpu::kR10),
    general("r11", cpu::kR11),
    general("r12", cpu::kR12),
    general("r13", cpu::kR13),
    general("r14", cpu::kR14),
    general("r15", cpu::kR15),
    general("rip", cpu::kRip, "code_ptr"),
    {"eflags", "i386_eflags", 32, 0, read_flags, write_flags},
    selector("cs", cpu::kCs),
    selector("ss", cpu::kSs),
    selector("ds", cpu::kDs),
    selector("es", cpu::kEs),
    selector("fs", cpu::kFs),
    selector("gs", cpu::kGs),
    stack_register("st0", 0),
    stack_register("st1", 1),
    stack_register("st2", 2),
    stack_register("st3", 3),
    stack_register("st4", 4),
    stack_register("st5", 5),
    stack_register("st6", 6),
    stack_register("st7", 7),
    x87_word("fctrl", kControl, write_x87_control),
    x87_word("fstat", kStatus, write_x87_status),
    x87_word("ftag", kTags),
    x87_word("fiseg", kInstructionSelector),
    x87_word("fioff", kInstructionOffset),
    x87_word("foseg", kDataSelector),
    x87_word("fooff", kDataOffset),
    x87_word("fop", kOpcode),
    vector("xmm0", 0),
    vector("xmm1", 1),
    vector("xmm2", 2),
    vector("xmm3", 3),
    vector("xmm4", 4),
    vector("xmm5", 5),
    vector("xmm6", 6),
    vector("xmm7", 7),
    vector("xmm8", 8),
    vector("xmm9", 9),
    vector("xmm10", 10),
    vector("xmm11", 11),
    vector("xmm12", 12),
    vector("xmm13", 13),
    vector("xmm14", 14),
    vector("xmm15", 15),
    {"mxcsr", "i386_mxcsr", 32, 0, read_mxcsr, write_mxcsr},
    segment_base("fs_base", cpu::kFs),
    segment_base("gs_base", cpu::kGs),
    system_register<&cpu::CpuState::kernel_gs_base>("k_gs_base"),
    system_register<&cpu::CpuState::cr0>("cr0"),
    system_register<&cpu::CpuState::cr2>("cr2"),
    system_register<&cpu::CpuState::cr3>("cr3"),
    system_register<&cpu::CpuState::cr4>("cr4"),
    system_register<&cpu::CpuState::efer>("efer"),
});

// The features and their first registers.
struct Feature {
  std::string_view name;
  std::string_view first;
  std::string_view types;
};

constexpr std::string_view kCoreTypes =
    R"(<flags id="i386_eflags" size="4"><field name="CF" start="0" end="0"/><field name="" start="1" end="1"/>)"
    R"(<field name="PF" start="2" end="2"/><field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/>)"
    R"(<field name="SF" start="7" end="7"/><field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/>)"
    R"(<field name="DF" start="10" end="10"/><field name="OF" start="11" end="11"/>)"
    R"(<field name="NT" start="14" end="14"/><field name="RF" start="16" end="16"/>)"
    R"(<field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/>)"
    R"(<field name="VIF" start="19" end="19"/><field name="VIP" start="20" end="20"/>)"
    R"(<field name="ID" start="21" end="21"/></flags>)";

constexpr std::string_view kSseTypes =
    R"(<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>)"
    R"(<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>)"
    R"(<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>)"
    R"(<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>)"
    R"(<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/>)"
    R"(<field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>)"
    R"(<field name="uint128" type="uint128"/></union>)"
    R"(<flags id="i386_mxcsr" size="4"><field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/>)"
    R"(<field name="ZE" start="2" end="2"/><field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/>)"
    R"(<field name="PE" start="5" end="5"/><field name="DAZ" start="6" end="6"/><field name="IM" start="7" end="7"/>)"
    R"(<field name="DM" start="8" end="8"/><field name="ZM" start="9" end="9"/><field name="OM" start="10" end="10"/>)"
    R"(<field name="UM" start="11" end="11"/><field name="PM" start="12" end="12"/>)"
    R"(<field name="FZ" start="15" end="15"/></flags>)";

constexpr auto kFeatures = std::to_array<Feature>({
    {"org.gnu.gdb.i386.core", "rax", kCoreTypes},
    {"org.gnu.gdb.i386.sse", "xmm0", kSseTypes},
    {"org.gnu.gdb.i386.segments", "fs_base", {}},
    {"org.calco.i386.control", "k_gs_base", {}},
});

}  // namespace

std::string gdb_target_description() {
  std::string text =
      "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
      "<target><architecture>i386:x86-64</architecture>";
  bool open = false;
  for (const Register& row : kRegisters) {
    const auto feature = std::ranges::find(kFeatures, row.name, &Feature::first);
    if (feature != kFeatures.end()) {
      text += fmt::format("{}<feature name=\"{}\">{}", open ? "</feature>" : "", feature->name, feature->types);
      open = true;
    }
    text += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"/>", row.name, row.bits, row.type);
  }
  return text + "</feature></target>";
}

unsigned gdb_register_count() { return static_cast<unsigned>(kRegisters.size()); }

size_t gdb_register_size(unsigned number) { return number < kRegisters.size() ? kRegisters[number].bits / 8 : 0; }

std::vector<uint8_t> read_gdb_register(const cpu::Cpu& cpu, unsigned number) {
  std::vector<uint8_t> bytes(gdb_register_size(number));
  if (bytes.empty()) return bytes;
  const Value value = kRegisters[number].read(cpu, kRegisters[number].index);
  std::memcpy(bytes.data(), value.data(), bytes.size());
  return bytes;
}

bool write_gdb_register(cpu::Cpu& cpu, unsigned number, std::span<const uint8_t> bytes) {
  if (bytes.empty() || bytes.size() != gdb_register_size(number)) return false;
  if (std::ranges::equal(read_gdb_register(cpu, number), bytes)) return true;
  const Register& row = kRegisters[number];
  if (row.write == nullptr) return false;
  Value value{};
  std::memcpy(value.data(), bytes.data(), bytes.size());
  if (!row.write(cpu, row.index, value)) return false;
  cpu.mode_changed();
  return true;
}

}  // namespace calco::machine
