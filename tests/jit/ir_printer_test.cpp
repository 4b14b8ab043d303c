#include "jit/ir/printer.h"
#include "tests/jit/ir_text.h"

namespace calco::jit::ir {
namespace {

constexpr std::string_view kEveryForm = R"(block at 0x123, 30 bytes, mode 0x10, memory 0xfedcba9876543210
flags dead if taken
flags dead if not taken
interpreted 2
vector #0 addps map=0x2 opcode=0x58 source=0x1 reads=0x8001 memory_bytes=0x10
vector #1 movaps vex=0x1 prefix=0x66
instruction at 0x123, 3 bytes
  %0 = get_register rax
  %1 = constant.i64 0xffffffffffffffff
  %2 = add.i64 %0, %1
  set_flags add, %2, %1
  set_register r15, %2
instruction at 0x126, 3 bytes
  %5 = segment_base gs
  %6 = address.i64 %0, %5, 8, -0x80000000
  %7 = address.i64 -, %5, 1, 0x0
  %8 = address.i64 %0, -, 1, 0x7fffffff
  %9 = load.i32 %6, stack
  store %7, %9
  set_flags logic, %9, only_for_faults
instruction at 0x129, 2 bytes
  interpret #1
instruction at 0x12b, 4 bytes
  %13 = host_address %8, 16, write, aligned
  %14 = host_vector.i64 %13, #1
  host_vector.void -, #0
  change_flags %14, cf|of
  %17 = condition le
  %18 = compare b, %0, %1
  %19 = select.i1 %17, %17, %18
  branch %19, 0x200, -0x10
)";

TEST(IrPrinter, RoundTripIsExact) {
  const Block block = parsed(kEveryForm);
  EXPECT_EQ(print(block), kEveryForm);
  EXPECT_EQ(messages(block), "");
}

TEST(IrPrinter, RoundTripKeepsEveryField) {
  const Block block = parsed(kEveryForm);
  EXPECT_EQ(block.page_offset, 0x123);
  EXPECT_EQ(block.byte_length, 30);
  EXPECT_EQ(block.mode_key, 0x10u);
  EXPECT_EQ(block.memory_offset, 0xFEDCBA9876543210u);
  EXPECT_EQ(block.vectors[0].mnemonic, decode::Mnemonic::Addps);
  EXPECT_EQ(block.vectors[0].source, HostVectorInstruction::Source::Memory);
  EXPECT_EQ(block.vectors[0].reads, 0x8001);
  EXPECT_EQ(block[6].auxiliary, 3);
  EXPECT_EQ(block[6].immediate, static_cast<uint64_t>(int64_t{-0x80000000LL}));
  EXPECT_EQ(block[7].arguments[0], kNoValue);
  EXPECT_EQ(block[9].auxiliary, kStackAccess);
  EXPECT_EQ(block[11].marks, kFlagsOnlyForFaults);
  EXPECT_EQ(block[13].immediate, 16 | kHostWrite | kHostAligned);
  EXPECT_EQ(block[16].immediate, cpu::rflags::kCf | cpu::rflags::kOf);
  EXPECT_EQ(taken_target(block.terminator()), 0x200);
  EXPECT_EQ(not_taken_target(block.terminator()), -0x10);
}

TEST(IrPrinter, JumpsShowTheirHints) {
  const std::string_view text = R"(block at 0x0, 1 bytes, mode 0x0, memory 0x0
instruction at 0x0, 1 bytes
  jump 0x10, call
)";
  EXPECT_EQ(print(parsed(text)), text);
}

TEST(IrPrinter, X87InstructionsKeepTheirFields) {
  const std::string_view text = R"(block at 0x0, 3 bytes, mode 0xa, memory 0x0
x87 #0 fadd opcode=0xdc modrm=0x3 argument=0x1 memory_bytes=0x8 is_recorded=0x1 recorded_opcode=0x403 data_segment=0x3
x87 #1 fnstsw opcode=0xdf modrm=0xe0 gives_status=0x1
instruction at 0x0, 2 bytes
  %0 = get_register rbx
  enter_x87
  %2 = host_address %0, 8
  host_x87.void %2, %0, #0
instruction at 0x2, 1 bytes
  %4 = host_x87.i16 -, -, #1
  leave 0x3
)";
  const Block block = parsed(text);
  EXPECT_EQ(print(block), text);
  EXPECT_EQ(messages(block), "");
  EXPECT_EQ(block.x87[0].argument, HostX87Instruction::Argument::Memory);
}

TEST(IrParser, NumbersAreFreeNames) {
  const Block block = block_of({"%7 = get_register rbx ; a comment\n set_register rcx, %7\n leave 0x1"});
  EXPECT_EQ(block[1].arguments[0], 0);
  EXPECT_EQ(block[1].auxiliary, cpu::kRcx);
}

TEST(IrParser, ErrorsNameTheLine) {
  Block block;
  EXPECT_EQ(parse("instruction at 0x0, 1 bytes\n  set_register rax, %3\n", block),
            "line 2: \"%3\" is not a value defined above");
  EXPECT_EQ(parse("instruction at 0x0, 1 bytes\n  frobnicate\n", block), "line 2: unknown operation");
  EXPECT_EQ(parse("leave 0x0\n", block), "line 1: operation before the first guest instruction");
}

}  // namespace
}  // namespace calco::jit::ir
