#include "jit/frontend/frontend.h"

#include <gmock/gmock.h>

#include "cpu/exec/condition.h"
#include "tests/jit/translated_code.h"

namespace calco::jit {
namespace {

using ir::Opcode;
using ir::Type;

TEST(Frontend, EndsInFrontOfAnInstructionThatEndsBlocks) {
  const TranslatedCode code({0x48, 0x89, 0xD8});  // mov rax, rbx; hlt
  ASSERT_TRUE(code.translated);
  EXPECT_EQ(code.block.guest.size(), 1u);
  EXPECT_EQ(code.block.byte_length, 3u);
  EXPECT_EQ(code.block.terminator().opcode, Opcode::Leave);
  EXPECT_EQ(code.block.terminator().immediate, 0x103u);
}

TEST(Frontend, DoesNotTranslateABlockThatOnlyTheInterpreterExecutes) {
  EXPECT_FALSE(TranslatedCode({}).translated);                 // hlt
  EXPECT_FALSE(TranslatedCode({0xFC, 0xA4}).translated);       // cld; movsb
  EXPECT_FALSE(TranslatedCode({0x0F, 0x0B}).translated);       // ud2
  EXPECT_TRUE(TranslatedCode({0xFC, 0x90, 0xA4}).translated);  // cld; nop; movsb
}

TEST(Frontend, GoesOnBehindTheLastInstructionItMayTranslate) {
  const TranslatedCode code({0x90, 0x90, 0x90}, 2, 2);
  EXPECT_EQ(code.block.terminator().opcode, Opcode::Jump);
  EXPECT_EQ(code.block.terminator().immediate, 0x102u);
}

TEST(Frontend, BranchTargetsCountFromThePage) {
  const TranslatedCode code({0x75, 0xFE});  // jne to itself
  const ir::Instruction& branch = code.block.terminator();
  ASSERT_EQ(branch.opcode, Opcode::Branch);
  EXPECT_EQ(ir::taken_target(branch), 0x100);
  EXPECT_EQ(ir::not_taken_target(branch), 0x102);
  EXPECT_EQ(code.block[branch.arguments[0]].auxiliary, cpu::kNotEqual);
}

TEST(Frontend, RipRelativeAddressesCountFromThePage) {
  const TranslatedCode code({0x48, 0x8B, 0x05, 0x10, 0x00, 0x00, 0x00});  // mov rax, [rip + 0x10]
  const ir::Instruction& address = code.only(Opcode::Address);
  EXPECT_EQ(code.block[address.arguments[0]].opcode, Opcode::PageBase);
  EXPECT_EQ(address.immediate, 0x117u);
}

TEST(Frontend, ByteRegistersAreInsertedAndDwordsClearTheUpperHalf) {
  EXPECT_EQ(TranslatedCode({0xB0, 0x01}).count(Opcode::InsertLowByte), 1u);          // mov al, 1
  EXPECT_EQ(TranslatedCode({0xB4, 0x01}).count(Opcode::InsertHighByte), 1u);         // mov ah, 1
  EXPECT_EQ(TranslatedCode({0x66, 0x89, 0xD8}).count(Opcode::InsertWord), 1u);       // mov ax, bx
  EXPECT_EQ(TranslatedCode({0x89, 0xD8}).only(Opcode::ZeroExtend).type, Type::I64);  // mov eax, ebx
  EXPECT_EQ(TranslatedCode({0x88, 0xE0}).count(Opcode::HighByte), 1u);               // mov al, ah
}

TEST(Frontend, AddressesOnTheStackRaiseStackFaults) {
  EXPECT_EQ(TranslatedCode({0x48, 0x8B, 0x04, 0x24}).only(Opcode::Load).auxiliary, ir::kStackAccess);  // mov rax, [rsp]
  EXPECT_EQ(TranslatedCode({0x48, 0x8B, 0x00}).only(Opcode::Load).auxiliary, 0);                       // mov rax, [rax]
}

TEST(Frontend, ReadModifyWriteLooksItsAddressUpOnce) {
  const TranslatedCode code({0x48, 0x01, 0x03});  // add [rbx], rax
  EXPECT_EQ(code.only(Opcode::HostAddress).immediate, 8 | ir::kHostWrite);
  EXPECT_EQ(code.count(Opcode::Load) + code.count(Opcode::Store), 0u);
  EXPECT_EQ(code.count(Opcode::StoreHost), 1u);
}

TEST(Frontend, LockedInstructionsAreAtomic) {
  EXPECT_EQ(TranslatedCode({0xF0, 0x48, 0xFF, 0x03}).count(Opcode::AtomicAdd), 1u);                    // lock inc
  EXPECT_EQ(TranslatedCode({0xF0, 0x48, 0x0F, 0xB1, 0x0B}).count(Opcode::AtomicCompareExchange), 1u);  // lock cmpxchg
  EXPECT_EQ(TranslatedCode({0x48, 0x87, 0x03}).count(Opcode::AtomicExchange), 1u);                     // xchg
}

TEST(Frontend, DivisionsThatWouldRaiseAreLeftToTheInterpreter) {
  EXPECT_EQ(TranslatedCode({0x48, 0xF7, 0xF3}).count(Opcode::BailIf), 1u);  // div rbx
  EXPECT_EQ(TranslatedCode({0x48, 0xF7, 0xFB}).count(Opcode::BailIf), 2u);  // idiv rbx
}

TEST(Frontend, InterpretedOperationsCountFromThePage) {
  const TranslatedCode code({0x90, 0xFC});  // nop; cld
  ASSERT_EQ(code.block.interpreted.size(), 1u);
  EXPECT_EQ(code.block.interpreted[0].offset, 0x101);
  EXPECT_EQ(code.block.interpreted[0].length, 1);
}

}  // namespace
}  // namespace calco::jit
