#include <gmock/gmock.h>

#include "jit/ir/builder.h"
#include "jit/ir/verifier.h"
#include "tests/jit/ir_text.h"

namespace calco::jit::ir {
namespace {

using testing::HasSubstr;

TEST(IrVerifier, ArgumentsHaveTheTypesOfTheTable) {
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\n%1 = truncate.i32 %0\n%2 = add.i64 %0, %1\nleave 0x1"})),
              HasSubstr("type of %1 is i32"));
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\nbranch %0, 0x0, 0x0"})), HasSubstr("type of %0 is i64"));
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\n%1 = zero_extend.i64 %0\nleave 0x1"})),
              HasSubstr("type of %0 is i64"));
}

TEST(IrVerifier, FlagsHaveTheOperandsOfTheirKind) {
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\nset_flags subtract, %0\nleave 0x1"})),
              HasSubstr("operands of different types"));
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\nset_flags increment, %0, %0\nleave 0x1"})),
              HasSubstr("the carry is an I1"));
}

TEST(IrVerifier, ValuesAreDefinedBeforeTheirUses) {
  Block block;
  Builder builder(block);
  builder.begin_guest_instruction(0, 1);
  builder.set_register(cpu::kRax, 1);
  builder.append(Opcode::Leave, Type::Void);
  EXPECT_THAT(messages(block), HasSubstr("%1 is used before its definition"));
}

TEST(IrVerifier, TheTerminatorStandsAtTheEndAndOnlyThere) {
  EXPECT_THAT(messages(block_of({"leave 0x1\nleave 0x1"})), HasSubstr("a terminator before the end"));
  EXPECT_THAT(messages(block_of({"%0 = get_register rax"})), HasSubstr("no terminator at the end"));
  EXPECT_THAT(messages(block_of({})), HasSubstr("block without operations"));
}

TEST(IrVerifier, NothingMayLeaveBehindAWriteOfTheSameGuestInstruction) {
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\nset_register rbx, %0\n%2 = load.i8 %0\nleave 0x1"})),
              HasSubstr("may leave after the guest instruction has written state"));
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\nstore %0, %0\n%2 = load.i8 %0\nleave 0x1"})),
              HasSubstr("may leave after the guest instruction has written memory"));
  EXPECT_EQ(messages(block_of({"%0 = get_register rax\nset_register rbx, %0", "%2 = load.i8 %0\nleave 0x1"})), "");
  EXPECT_EQ(messages(block_of({"%0 = get_register rax\nstore %0, %0\nstore %0, %0\nleave 0x1"})), "");
}

TEST(IrVerifier, AnInterpretedInstructionStandsAlone) {
  EXPECT_THAT(messages(block_of({"%0 = get_register rax\ninterpret #0\nleave 0x1"})),
              HasSubstr("not alone in its guest instruction"));
  EXPECT_THAT(messages(block_of({"interpret #0\n%0 = get_register rax\nleave 0x1"})),
              HasSubstr("an interpreted guest instruction with other operations"));
  EXPECT_EQ(messages(block_of({"interpret #0\nleave 0x1"})), "");
}

TEST(IrVerifier, X87InstructionsStandBehindWhatEntersTheUnit) {
  const auto with = [](const std::string& operations, HostX87Instruction x87) {
    Block block = block_of({operations});
    block.x87.push_back(x87);
    return messages(block);
  };
  EXPECT_EQ(with("enter_x87\nhost_x87.void -, -, #0\nleave 0x1", {}), "");
  EXPECT_THAT(with("host_x87.void -, -, #0\nleave 0x1", {}), HasSubstr("the host's x87 unit is not the guest's"));
  EXPECT_THAT(with("enter_x87\nhost_x87.void -, -, #0\nleave 0x1", {.sets_flags = true}),
              HasSubstr("result of the x87 instruction"));
  EXPECT_THAT(
      with("enter_x87\nhost_x87.void -, -, #0\nleave 0x1", {.argument = HostX87Instruction::Argument::Condition}),
      HasSubstr("argument of the x87 instruction"));
  EXPECT_THAT(with("enter_x87\nhost_x87.void -, -, #1\nleave 0x1", {}), HasSubstr("index into Block::x87"));
}

TEST(IrVerifier, NumbersAndIndicesExist) {
  EXPECT_THAT(messages(block_of({"interpret #1\nleave 0x1"})), HasSubstr("index into Block::interpreted"));
  EXPECT_THAT(messages(block_of({"host_vector.void -, #1\nleave 0x1"})), HasSubstr("index into Block::vectors"));
  EXPECT_THAT(messages(block_of({"%0 = constant.i8 0x100\nleave 0x1"})), HasSubstr("constant wider than its type"));
  EXPECT_THAT(messages(block_of({"%0 = segment_base cs\nleave 0x1"})), HasSubstr("segment other than FS and GS"));
  Block block;
  Builder builder(block);
  builder.begin_guest_instruction(0, 1);
  builder.get_register(cpu::kRip);
  builder.append(Opcode::Leave, Type::Void);
  EXPECT_THAT(messages(block), HasSubstr("auxiliary out of range"));
}

TEST(IrVerifier, GuestInstructionsGoForward) {
  Block block = block_of({"%0 = get_register rax", "leave 0x1"});
  block.code[0].guest = 1;
  block.code[1].guest = 0;
  EXPECT_THAT(messages(block), HasSubstr("guest instructions go backwards"));
  block.code[1].guest = 2;
  EXPECT_THAT(messages(block), HasSubstr("no such guest instruction"));
}

}  // namespace
}  // namespace calco::jit::ir
