// What LLVM makes of regions does what their IR says.
#include "jit/llvm/llvm_compiler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>

#include "jit/ir/builder.h"
#include "tests/jit/ir_text.h"
#include "tests/jit/random_block.h"
#include "tests/jit/translation_rig.h"

namespace calco::jit {
namespace {

using cpu::FlagKind;

// Compiles regions and runs them on a rig.
struct LlvmRig : TranslationRig {
  explicit LlvmRig(const LlvmOptions& options = {})
      : compiler(make_llvm_compiler(layout(), entries, llvm_services(), options)) {}

  void compile(std::vector<ir::Block> blocks) { compile(Region{.blocks = std::move(blocks)}); }
  void compile(const Region& what) {
    region = compiler->compile(what, [this](size_t, int32_t target) { return link_cell(target); });
    ASSERT_NE(region, nullptr) << compiler->refusal();
  }
  void run(std::vector<ir::Block> blocks) {
    compile(std::move(blocks));
    if (region) enter(region->entry());
  }
  uint64_t& reg(unsigned number) { return state.cpu.registers[number]; }

  std::unique_ptr<RegionCompiler> compiler;
  std::unique_ptr<CompiledRegion> region;
};

TEST(LlvmCompiler, AllRegistersComeBack) {
  LlvmRig rig;
  for (unsigned i = 0; i < 16; ++i) rig.reg(i) = 100 + i;
  rig.run(
      {ir::block_of({"%0 = get_register rax\n set_register r10, %0\n %2 = get_register r15\n set_register rbx, %2\n"
                     "leave 0x55"})});
  for (unsigned i = 0; i < 16; ++i) {
    EXPECT_EQ(rig.reg(i), i == cpu::kR10 ? 100u : i == cpu::kRbx ? 115u : 100 + i) << i;
  }
  EXPECT_TRUE(rig.left_to_interpreter());
  EXPECT_EQ(rig.offset(), 0x55u);
}

// --- Random blocks against the evaluator -----------------------------------------------------------------------------

bool has(const ir::Block& block, std::initializer_list<ir::Opcode> opcodes) {
  for (const ir::Instruction& instruction : block.code) {
    for (const ir::Opcode opcode : opcodes) {
      if (instruction.opcode == opcode) return true;
    }
  }
  return false;
}

// The evaluator's 256 bytes of memory behind the rig's slow paths. Keeps the state as access number `watched` saw it,
// and refuses that access, if it can be.
struct EvaluatedMemory {
  EvaluatedMemory(TranslationRig& rig, ir::EvaluatedState& state, unsigned watched)
      : state_(state), accesses_left_(watched) {
    rig.fills_tlb = false;
    rig.load = [this, &rig](uint64_t linear, uint32_t site) {
      uint64_t value = 0;
      for (unsigned i = 0; i < site_size(site); ++i) value |= uint64_t{state_.memory[(linear + i) & 0xFF]} << (8 * i);
      is_watched(rig);
      return value;
    };
    rig.store = [this, &rig](uint64_t linear, uint32_t site, uint64_t value) {
      if (is_watched(rig)) return false;
      for (unsigned i = 0; i < site_size(site); ++i) {
        state_.memory[(linear + i) & 0xFF] = static_cast<uint8_t>(value >> (8 * i));
      }
      return true;
    };
    rig.host_address = [this, &rig](uint64_t linear, uint32_t site) -> uint8_t* {
      if (is_watched(rig)) return nullptr;
      wrapped |= (linear & 0xFF) + site_size(site) > 0x100;
      return wrapped ? nullptr : &state_.memory[linear & 0xFF];
    };
  }
  bool wrapped = false;
  std::optional<cpu::CpuState> seen;
  uint32_t seen_site = 0;

 private:
  bool is_watched(const TranslationRig& rig) {
    if (accesses_left_-- != 0) return false;
    seen = rig.at_slow_path;
    seen_site = rig.last_site;
    return true;
  }

  ir::EvaluatedState& state_;
  unsigned accesses_left_;
};

void load_state(TranslationRig& rig, const ir::EvaluatedState& from) {
  for (unsigned i = 0; i < 16; ++i) rig.state.cpu.registers[i] = from.registers[i];
  rig.state.cpu.flags = from.flags;
  rig.state.cpu.segments[cpu::kFs].base = from.fs_base;
  rig.state.cpu.segments[cpu::kGs].base = from.gs_base;
}

std::string registers(const auto& values) {
  std::string text;
  for (unsigned i = 0; i < 16; ++i) text += fmt::format(" {:x}", values[i]);
  return text;
}

void expect_as_evaluated(LlvmRig& rig, unsigned seed) {
  ir::Random random(seed);
  const ir::Block block = ir::random_block(random, 1 + seed % 16);
  if (has(block, {ir::Opcode::Interpret, ir::Opcode::HostVector, ir::Opcode::WideDivide})) return;
  rig.compile({block});
  if (!rig.region) return;
  for (unsigned round = 0; round < 8; ++round) {
    ir::EvaluatedState expected = ir::random_state(random);
    expected.page_base = TranslationRig::kPageBase;
    ir::EvaluatedState actual = expected;
    load_state(rig, expected);
    EvaluatedMemory memory(rig, actual, ir::kNoFault);
    const ir::Outcome outcome = ir::evaluate(block, expected);
    rig.enter(rig.region->entry());
    if (memory.wrapped) continue;
    const cpu::CpuState& state = rig.state.cpu;
    const std::string text =
        fmt::format("seed {} round {}\n{}registers{}\n", seed, round, ir::print(block), registers(actual.registers));
    ASSERT_EQ(registers(state.registers), registers(expected.registers)) << text;
    ASSERT_EQ(actual.memory, expected.memory) << text;
    if (outcome.flags_matter) ASSERT_EQ(cpu::arithmetic_flags(state.flags), expected.flag_bits()) << text;
    if (outcome.left) {
      ASSERT_TRUE(rig.left_to_interpreter()) << text;
      ASSERT_EQ(rig.offset(), block.guest[outcome.guest].page_offset) << text;
    } else if (rig.state.way_out == 0 || rig.state.way_out == TranslationRig::kProbe) {
      ASSERT_EQ(rig.rip(), outcome.target) << text;
    } else {
      ASSERT_EQ(rig.state.way_out - TranslationRig::kLink, outcome.target - TranslationRig::kPageBase) << text;
    }
  }
}

void expect_whole_state_at_accesses(LlvmRig& rig, unsigned seed) {
  ir::Random random(seed);
  const ir::Block block = ir::random_block(random, 1 + seed % 16);
  if (has(block, {ir::Opcode::Interpret, ir::Opcode::HostVector, ir::Opcode::WideDivide})) return;
  rig.compile({block});
  if (!rig.region) return;
  for (unsigned access = 0; access < 8; ++access) {
    ir::EvaluatedState expected = ir::random_state(random);
    expected.page_base = TranslationRig::kPageBase;
    ir::EvaluatedState actual = expected;
    load_state(rig, expected);
    EvaluatedMemory memory(rig, actual, access);
    const ir::Outcome outcome = ir::evaluate(block, expected, access);
    rig.enter(rig.region->entry());
    if (memory.wrapped || !memory.seen || !outcome.left) continue;
    const std::string text = fmt::format("seed {} access {}\n{}", seed, access, ir::print(block));
    ASSERT_EQ(registers(memory.seen->registers), registers(expected.registers)) << text;
    ASSERT_EQ(cpu::arithmetic_flags(memory.seen->flags), expected.flag_bits()) << text;
    ASSERT_EQ(memory.seen->registers[cpu::kRip], TranslationRig::kPageBase) << text;
    ASSERT_EQ(site_page_offset(memory.seen_site), block.guest[outcome.guest].page_offset) << text;
  }
}

TEST(LlvmCompiler, TheStateIsWholeAtEveryAccess) {
  LlvmRig rig;
  for (unsigned seed = 1000; seed < 1200; ++seed) {
    expect_whole_state_at_accesses(rig, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(LlvmCompiler, TheStateIsWholeAtEveryAccessOfCodeThatWasMadeQuickly) {
  LlvmOptions options;
  options.fast_code = true;
  LlvmRig rig(options);
  for (unsigned seed = 1000; seed < 1100; ++seed) {
    expect_whole_state_at_accesses(rig, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(LlvmCompiler, RandomBlocksDoWhatTheEvaluatorSays) {
  LlvmRig rig;
  for (unsigned seed = 0; seed < 300; ++seed) {
    expect_as_evaluated(rig, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(LlvmCompiler, InterpretedOperationsSeeAndChangeTheWholeState) {
  LlvmRig rig;
  rig.interpret = [](cpu::CpuState& state, const cpu::Op& op) {
    EXPECT_EQ(op.immediate, 77u);
    EXPECT_EQ(state.registers[cpu::kRax], 5u);
    EXPECT_EQ(state.registers[cpu::kR10], 6u);
    for (unsigned i = 0; i < 16; ++i) state.registers[i] += 1000;
    cpu::set_arithmetic_flags(state.flags, cpu::rflags::kZf);
  };
  ir::Block block =
      ir::block_of({"%0 = constant.i64 5\n set_register rax, %0\n %2 = constant.i64 6\n"
                    "set_register r10, %2",
                    "interpret #0", "%5 = condition e\n branch %5, 0x100, 0x200"});
  block.interpreted[0].immediate = 77;
  rig.run({block});
  EXPECT_EQ(rig.state.way_out, TranslationRig::kLink + 0x100);
  EXPECT_EQ(rig.reg(cpu::kRax), 1005u);
  EXPECT_EQ(rig.reg(cpu::kR10), 1006u);
  EXPECT_EQ(rig.reg(cpu::kRbx), 1000u);
  EXPECT_EQ(rig.reg(cpu::kR15), 1000u);
}

// --- Regions ---------------------------------------------------------------------------------------------------

ir::Block block_at(unsigned offset, std::string_view code) {
  return ir::parsed(fmt::format("block at {:#x}, 4 bytes, mode 0x0, memory {:#x}\ninstruction at {:#x}, 4 bytes\n{}\n",
                                offset, offset, offset, code));
}

// RAX = sum of RCX numbers at RSI.
std::vector<ir::Block> summing_loop() {
  return {
      block_at(0x10, "%0 = constant.i64 0\n set_register rax, %0\n jump 0x20"),
      block_at(0x20,
               "%0 = get_register rsi\n %1 = load.i64 %0\n %2 = get_register rax\n %3 = add.i64 %2, %1\n"
               "%4 = constant.i64 8\n %5 = add.i64 %0, %4\n set_register rax, %3\n set_register rsi, %5\n jump 0x30"),
      block_at(0x30,
               "%0 = get_register rcx\n %1 = constant.i64 1\n %2 = subtract.i64 %0, %1\n"
               "set_flags subtract, %0, %1\n set_register rcx, %2\n %5 = condition ne\n branch %5, 0x20, 0x40")};
}

class Loop : public testing::TestWithParam<bool> {
 protected:
  static LlvmOptions options() {
    LlvmOptions result;
    result.page_cache = GetParam();
    return result;
  }
};

TEST_P(Loop, GoesRoundInsideOfTheRegion) {
  LlvmRig rig(options());
  uint64_t sum = 0;
  for (uint64_t i = 0; i < 1500; ++i) {
    rig.write(TranslationRig::kMemory + i * 8, i * i);
    sum += i * i;
  }
  rig.reg(cpu::kRsi) = TranslationRig::kMemory;
  rig.reg(cpu::kRcx) = 1500;
  rig.run(summing_loop());
  EXPECT_EQ(rig.reg(cpu::kRax), sum);
  EXPECT_EQ(rig.reg(cpu::kRsi), TranslationRig::kMemory + 12000);
  EXPECT_EQ(rig.state.way_out, TranslationRig::kLink + 0x40);
  EXPECT_EQ(cpu::arithmetic_flags(rig.state.cpu.flags), cpu::rflags::kZf | cpu::rflags::kPf);
  EXPECT_EQ(rig.slow_loads, 3u) << "one a page";
}

TEST_P(Loop, IsLeftWhenSomebodyWantsTheProcessor) {
  LlvmRig rig(options());
  rig.reg(cpu::kRsi) = TranslationRig::kMemory;
  rig.reg(cpu::kRcx) = 10;
  rig.state.exit_request = 4;
  rig.run(summing_loop());
  EXPECT_EQ(rig.state.way_out, 0u);
  EXPECT_EQ(rig.state.exit_reason, static_cast<uint64_t>(ExitReason::Next));
  EXPECT_EQ(rig.offset(), 0x20u);
  EXPECT_EQ(rig.reg(cpu::kRcx), 9u);
}

TEST_P(Loop, MeetsPagesThatAreForReadingOnly) {
  LlvmRig rig(options());
  rig.read_only = true;
  rig.reg(cpu::kRsi) = TranslationRig::kMemory;
  rig.write<uint64_t>(TranslationRig::kMemory, 5);
  rig.run({block_at(0x10,
                    "%0 = get_register rsi\n %1 = load.i64 %0\n set_register rax, %1\n store %0, %1\n"
                    "set_register rbx, %1\n jump 0x10")});
  EXPECT_TRUE(rig.left_to_interpreter());
  EXPECT_EQ(rig.slow_loads, 1u);
  EXPECT_EQ(rig.slow_stores, 1u);
}

// The first block compares two registers before the blocks that set them, further down, are known.
TEST_P(Loop, BeginsWithAComparisonOfWhatItsEndSets) {
  LlvmRig rig(options());
  for (uint64_t i = 0; i < 1500; ++i) rig.write(TranslationRig::kMemory + i * 8, i == 1200 ? 77 : i % 50);
  rig.reg(cpu::kRsi) = TranslationRig::kMemory;
  rig.reg(cpu::kRdx) = 77;
  rig.run({block_at(0x10,
                    "%0 = get_register rax\n %1 = get_register rdx\n set_flags subtract, %0, %1\n"
                    "%3 = compare ne, %0, %1\n branch %3, 0x20, 0x30"),
           block_at(0x20,
                    "%0 = get_register rsi\n %1 = load.i64 %0\n %2 = constant.i64 8\n %3 = add.i64 %0, %2\n"
                    "set_register rax, %1\n set_register rsi, %3\n set_flags add, %3, %2\n jump 0x10"),
           block_at(0x30,
                    "%0 = get_register rdx\n %1 = constant.i64 1\n %2 = subtract.i64 %0, %1\n"
                    "set_register rdx, %2\n set_flags subtract, %2, %1\n %5 = condition ne\n branch %5, 0x40, 0x10"),
           block_at(0x40, "leave 0x40")});
  EXPECT_TRUE(rig.left_to_interpreter());
  EXPECT_EQ(rig.reg(cpu::kRax), 77u);
  EXPECT_EQ(rig.reg(cpu::kRdx), 76u);
  EXPECT_EQ(rig.reg(cpu::kRsi), TranslationRig::kMemory + 1201 * 8);
}

// The third access begins in the page in front of the one that the others met.
TEST_P(Loop, CrossesIntoThePageThatItMetLast) {
  constexpr uint64_t kBoundary = TranslationRig::kMemory + 0x1000;
  LlvmRig rig(options());
  rig.write<uint64_t>(kBoundary, 0x8877665544332211);
  rig.reg(cpu::kRsi) = kBoundary + 2;
  rig.reg(cpu::kRcx) = 3;
  rig.run({block_at(0x10,
                    "%0 = get_register rsi\n %1 = load.i32 %0\n %2 = zero_extend.i64 %1\n set_register rax, %2\n"
                    "%4 = constant.i64 2\n %5 = subtract.i64 %0, %4\n set_register rsi, %5\n"
                    "%7 = get_register rcx\n %8 = constant.i64 1\n %9 = subtract.i64 %7, %8\n"
                    "set_register rcx, %9\n %11 = constant.i64 0\n"
                    "%12 = compare ne, %9, %11\n branch %12, 0x10, 0x40")});
  EXPECT_EQ(rig.reg(cpu::kRax), 0x22110000u);
  EXPECT_EQ(rig.slow_loads, 2u);
}

// A tag with kTlbSlow looks like an address whose lowest bit is set.
TEST_P(Loop, TakesNoMisalignedAddressForASlowPage) {
  LlvmRig rig(options());
  rig.read_only = true;
  ir::Block block;
  ir::Builder builder(block);
  constexpr std::array kNothing = {ir::kNoValue, ir::kNoValue, ir::kNoValue};
  builder.begin_guest_instruction(0x10, 4);
  const ir::Value address = builder.get_register(cpu::kRsi);
  builder.append(ir::Opcode::HostAddress, ir::Type::I64, {address, ir::kNoValue, ir::kNoValue}, 0,
                 16 | ir::kHostWrite | ir::kHostAligned);
  builder.append(ir::Opcode::Leave, ir::Type::Void, kNothing, 0, 0x14);
  rig.compile({block});
  for (unsigned round = 1; round < 4; ++round) {
    rig.reg(cpu::kRsi) = TranslationRig::kMemory + 1;
    rig.enter(rig.region->entry());
    EXPECT_EQ(rig.offset(), 0x10u);
    EXPECT_EQ(rig.slow_host_addresses, round);
  }
}

// RAX = sum of the 256 numbers of four bytes at RDI, through indices that are known to be below 256.
Region table_loop(uint64_t table) {
  Region region{.blocks = {block_at(0x10,
                                    "%0 = get_register rcx\n %1 = constant.i64 1\n %2 = subtract.i64 %0, %1\n"
                                    "%3 = constant.i64 255\n %4 = and.i64 %2, %3\n %5 = get_register rdi\n"
                                    "%6 = address.i64 %5, %4, 4, 0x0\n %7 = load.i32 %6\n %8 = zero_extend.i64 %7\n"
                                    "%9 = get_register rax\n %10 = add.i64 %9, %8\n set_register rax, %10\n"
                                    "set_register rcx, %2\n %13 = constant.i64 0\n"
                                    "%14 = compare ne, %2, %13\n branch %14, 0x10, 0x40")}};
  region.registers[cpu::kRdi] = table;
  return region;
}

// kMemory's second page lies behind its third in the host's memory.
void scatter_pages(LlvmRig& rig) {
  for (const unsigned page : {0, 1}) {
    const uint64_t linear = TranslationRig::kMemory + page * 0x1000u;
    const uint8_t* const host = rig.memory.data() + page * 0x3000u;
    *cpu::tlb_entry(rig.tlb.data(), linear) = {
        .read = linear, .write = linear, .addend = reinterpret_cast<uintptr_t>(host) - linear};
  }
}

TEST_P(Loop, ReadsATableThatLiesInTwoPages) {
  constexpr uint64_t kTable = TranslationRig::kMemory + 0xE00;
  LlvmRig rig(options());
  scatter_pages(rig);
  for (uint64_t i = 0; i < 128; ++i) rig.write<uint32_t>(kTable + i * 4, 1000);
  for (uint64_t i = 128; i < 256; ++i) rig.write<uint32_t>(kTable + 0x2000 + i * 4, 1);
  rig.compile(table_loop(kTable));
  rig.reg(cpu::kRdi) = kTable;
  rig.reg(cpu::kRcx) = 256 * 3;
  rig.enter(rig.region->entry());
  EXPECT_EQ(rig.reg(cpu::kRax), 3u * 128 * 1001);
  EXPECT_EQ(rig.slow_loads, 0u);
}

TEST_P(Loop, ReadsSlowlyWhatLiesInBothPagesOfATable) {
  constexpr uint64_t kTable = TranslationRig::kMemory + 0xE01;
  LlvmRig rig(options());
  scatter_pages(rig);
  rig.compile(table_loop(kTable));
  rig.reg(cpu::kRdi) = kTable;
  rig.reg(cpu::kRcx) = 256 * 3;
  rig.enter(rig.region->entry());
  EXPECT_EQ(rig.slow_loads, 3u);
}

// The loop comes round with other flags than it is entered with; an access in front of the comparison shows them.
TEST_P(Loop, ShowsTheFlagsOfItsEndAtAnAccess) {
  LlvmRig rig(options());
  rig.fills_tlb = false;
  std::vector<uint64_t> seen;
  rig.load = [&](uint64_t, uint32_t) {
    seen.push_back(cpu::arithmetic_flags(rig.at_slow_path.flags));
    return uint64_t{0};
  };
  cpu::set_arithmetic_flags(rig.state.cpu.flags, cpu::rflags::kCf | cpu::rflags::kOf);
  rig.reg(cpu::kRcx) = 3;
  rig.run({block_at(0x10,
                    "%0 = get_register rsi\n %1 = load.i64 %0\n %2 = get_register rcx\n %3 = constant.i64 1\n"
                    "%4 = subtract.i64 %2, %3\n set_flags subtract, %2, %3\n set_register rcx, %4\n"
                    "%7 = condition ne\n branch %7, 0x10, 0x40")});
  using namespace cpu::rflags;
  EXPECT_EQ(seen, (std::vector<uint64_t>{kCf | kOf, 0, 0}));
  EXPECT_EQ(cpu::arithmetic_flags(rig.state.cpu.flags), kZf | kPf);
}

INSTANTIATE_TEST_SUITE_P(PageCache, Loop, testing::Bool());

// --- Random regions against the evaluator ----------------------------------------------------------------------------

constexpr unsigned kBlockDistance = 0x100;

bool writes(const ir::Block& block, unsigned number) {
  return std::ranges::any_of(block.code, [number](const ir::Instruction& instruction) {
    return instruction.opcode == ir::Opcode::SetRegister && instruction.auxiliary == number;
  });
}

// Moves a random block to its place, and lets it end by counting R15 down to where it leaves, or else going on to two
// blocks on some condition. Of `blocks` blocks the last stands for the outside.
void join(ir::Block& block, ir::Random& random, unsigned number, unsigned blocks) {
  block.page_offset = static_cast<uint16_t>(number * kBlockDistance);
  for (ir::GuestInstruction& guest : block.guest) guest.page_offset += block.page_offset;
  block.flags_dead_if_taken = block.flags_dead_if_not_taken = false;
  block.code.pop_back();
  ir::Builder builder(block);
  constexpr std::array kNothing = {ir::kNoValue, ir::kNoValue, ir::kNoValue};
  const ir::Value counter = builder.get_register(cpu::kR15);
  const ir::Value none = builder.compare(4, counter, builder.constant(ir::Type::I64, 0));
  builder.append(ir::Opcode::BailIf, ir::Type::Void, {none, ir::kNoValue, ir::kNoValue});
  const ir::Value one = builder.constant(ir::Type::I64, 1);
  builder.set_register(cpu::kR15, builder.binary(ir::Opcode::Subtract, counter, one));
  const auto code = static_cast<uint8_t>(random() % 16);
  const auto any = [&] { return builder.get_register(static_cast<uint8_t>(random() % 5)); };
  const ir::Value condition = random() % 2 == 0 ? builder.append(ir::Opcode::Condition, ir::Type::I1, kNothing, code)
                                                : builder.compare(code, any(), any());
  const auto target = [&] { return static_cast<int32_t>(random() % blocks * kBlockDistance); };
  const int32_t taken = target();
  builder.append(ir::Opcode::Branch, ir::Type::Void, {condition, ir::kNoValue, ir::kNoValue}, 0,
                 ir::branch_targets(taken, target()));
}

std::vector<ir::Block> random_region(ir::Random& random) {
  const auto blocks = static_cast<unsigned>(2 + random() % 5);
  std::vector<ir::Block> region;
  while (region.size() < blocks) {
    ir::Block block = ir::random_block(random, static_cast<unsigned>(1 + random() % 4));
    if (has(block, {ir::Opcode::Interpret, ir::Opcode::HostVector, ir::Opcode::WideDivide})) continue;
    if (writes(block, cpu::kR15)) continue;
    join(block, random, static_cast<unsigned>(region.size()), blocks + 1);
    region.push_back(std::move(block));
  }
  return region;
}

// Where the region is left: a page offset. With `wanted` set its ways back are not taken.
uint64_t evaluate(const std::vector<ir::Block>& region, ir::EvaluatedState& state, bool wanted) {
  size_t number = 0;
  while (number < region.size()) {
    const ir::Outcome outcome = ir::evaluate(region[number], state);
    if (outcome.left) return region[number].guest[outcome.guest].page_offset;
    const size_t next = (outcome.target - state.page_base) / kBlockDistance;
    if (wanted && next <= number) return next * kBlockDistance;
    number = next;
  }
  return number * kBlockDistance;
}

void expect_region_as_evaluated(LlvmRig& rig, unsigned seed) {
  ir::Random random(seed);
  const std::vector<ir::Block> region = random_region(random);
  rig.compile(region);
  if (!rig.region) return;
  for (unsigned round = 0; round < 8; ++round) {
    ir::EvaluatedState expected = ir::random_state(random);
    expected.page_base = TranslationRig::kPageBase;
    expected.registers[cpu::kR15] = random() % 20;
    ir::EvaluatedState actual = expected;
    load_state(rig, expected);
    EvaluatedMemory memory(rig, actual, ir::kNoFault);
    rig.state.exit_request = round % 4 == 3 ? 1 : 0;
    const uint64_t left_at = evaluate(region, expected, rig.state.exit_request != 0);
    rig.enter(rig.region->entry());
    if (memory.wrapped) continue;
    const cpu::CpuState& state = rig.state.cpu;
    std::string text = fmt::format("seed {} round {}\n", seed, round);
    for (const ir::Block& block : region) text += ir::print(block);
    ASSERT_EQ(registers(state.registers), registers(expected.registers)) << text;
    ASSERT_EQ(actual.memory, expected.memory) << text;
    ASSERT_EQ(cpu::arithmetic_flags(state.flags), expected.flag_bits()) << text;
    ASSERT_EQ(rig.state.way_out == 0 ? rig.offset() : rig.state.way_out - TranslationRig::kLink, left_at) << text;
  }
}

TEST(LlvmCompiler, RandomRegionsDoWhatTheEvaluatorSays) {
  for (const bool page_cache : {false, true}) {
    LlvmOptions options;
    options.page_cache = page_cache;
    LlvmRig rig(options);
    for (unsigned seed = 0; seed < 150; ++seed) {
      expect_region_as_evaluated(rig, seed);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(LlvmCompiler, AnAccessAcrossTwoPagesTakesTheSlowPath) {
  LlvmRig rig;
  rig.reg(cpu::kRsi) = TranslationRig::kMemory + 0xFFD;
  rig.write<uint32_t>(TranslationRig::kMemory + 0xFFD, 0x12345678);
  const auto blocks = {block_at(0x10,
                                "%0 = get_register rsi\n %1 = load.i32 %0\n %2 = zero_extend.i64 %1\n"
                                "set_register rax, %2\n leave 0x14")};
  rig.run(blocks);
  rig.enter(rig.region->entry());
  EXPECT_EQ(rig.slow_loads, 2u);
  EXPECT_EQ(rig.reg(cpu::kRax), 0x12345678u);
  rig.reg(cpu::kRsi) = TranslationRig::kMemory + 0xFFC;
  rig.enter(rig.region->entry());
  EXPECT_EQ(rig.slow_loads, 2u);
}

}  // namespace
}  // namespace calco::jit
