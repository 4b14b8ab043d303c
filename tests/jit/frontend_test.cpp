#include "jit/frontend/frontend.h"

#include <gmock/gmock.h>

#include "cpu/exec/block_cache.h"
#include "cpu/exec/condition.h"
#include "cpu/exec/translation.h"
#include "tests/jit/translated_code.h"

namespace calco::jit {
namespace {

using ir::Opcode;
using ir::Type;

TEST(Frontend, LeavesInFrontOfAnInstructionThatEndsBlocksAndHasItsOperation) {
  const TranslatedCode code({0x48, 0x89, 0xD8});  // mov rax, rbx; hlt
  ASSERT_TRUE(code.translated);
  EXPECT_EQ(code.block.guest.size(), 2u);
  EXPECT_EQ(code.block.byte_length, 4u);
  EXPECT_EQ(code.block.terminator().opcode, Opcode::Leave);
  EXPECT_EQ(code.block.terminator().immediate, 0x103u);
  ASSERT_TRUE(code.block.last);
  EXPECT_EQ(code.block.last->offset, 0x103);
}

TEST(Frontend, FarAndOddNearTransfersAreLeftAlone) {
  const TranslatedCode code({0x90, 0x66, 0xEB, 0x00});  // nop; jmp of 16 bits
  EXPECT_EQ(code.block.terminator().opcode, Opcode::Leave);
  EXPECT_EQ(code.block.byte_length, 1u);
  EXPECT_FALSE(code.block.last);
}

TEST(Frontend, InterruptsAreEnabledBehindTheInstructionThatFollowsSti) {
  const TranslatedCode code({0xFB, 0x90, 0x90, 0x90});  // sti; nop; nop; nop
  EXPECT_EQ(code.count(Opcode::Interpret), 1u);
  EXPECT_EQ(code.block.interpreted[0].handler, &cpu::enable_interrupts_behind_next);
  EXPECT_EQ(code.block.terminator().opcode, Opcode::Jump);
  EXPECT_EQ(code.block.terminator().immediate, 0x102u);
}

TEST(Frontend, StiAtTheEndOfATranslationBeginsAnInterruptShadow) {
  const TranslatedCode code({0x90, 0xFB, 0x90}, 2, 2);  // nop; sti
  EXPECT_EQ(code.count(Opcode::Interpret), 0u);
  ASSERT_TRUE(code.block.last);
  EXPECT_NE(code.block.last->handler, &cpu::enable_interrupts_behind_next);
}

TEST(Frontend, X87InstructionsRunOnFromOneToTheNext) {
  const TranslatedCode code({0xD9, 0xE8, 0xDE, 0xC1, 0xDD, 0x18, 0xD9, 0xEE});  // fld1; faddp; fstp [rax]; fldz
  EXPECT_EQ(code.count(Opcode::Interpret), 2u);
  ASSERT_EQ(code.block.interpreted.size(), 6u);
  EXPECT_EQ(code.block.interpreted[2].offset, 0x104);
  EXPECT_EQ(code.block.interpreted[3].handler, nullptr);  // the store may change what follows
  EXPECT_EQ(code.block.interpreted[4].offset, 0x106);
}

TEST(Frontend, VzeroupperNeedsAvx) {
  EXPECT_EQ(TranslatedCode({0xC5, 0xF8, 0x77}, 2 | cpu::kModeAvx).count(Opcode::ClearUpperVectors), 1u);
  EXPECT_EQ(TranslatedCode({0xC5, 0xF8, 0x77}).count(Opcode::Interpret), 1u);
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
  ASSERT_EQ(code.block.interpreted.size(), 2u);
  EXPECT_EQ(code.block.interpreted[1].handler, nullptr);
  EXPECT_EQ(code.block.interpreted[0].offset, 0x101);
  EXPECT_EQ(code.block.interpreted[0].length, 1);
}

constexpr uint32_t kVectors = 2 | cpu::kModeVector;

TEST(Frontend, VectorInstructionsAreInterpretedWhereTheyMightBeUnavailable) {
  EXPECT_EQ(TranslatedCode({0x90, 0x66, 0x0F, 0xEF, 0xC1}).count(Opcode::Interpret), 1u);  // pxor xmm0, xmm1
  EXPECT_EQ(TranslatedCode({0x66, 0x0F, 0xEF, 0xC1}, kVectors).count(Opcode::HostVector), 1u);
}

TEST(Frontend, X87InstructionsEnterTheUnitOnceAndAgainBehindInterpretedOnes) {
  const TranslatedCode run({0xD9, 0xE8, 0xDC, 0x00, 0xDE, 0xC1}, kVectors);  // fld1; fadd qword [rax]; faddp
  EXPECT_EQ(run.count(Opcode::EnterX87), 1u);
  EXPECT_EQ(run.count(Opcode::HostX87), 3u);
  EXPECT_EQ(run.only(Opcode::HostAddress).immediate, 8u);
  EXPECT_EQ(run.block.x87[1].recorded_opcode, 0x400);
  EXPECT_EQ(run.block.x87[1].data_segment, cpu::kDs);
  const TranslatedCode apart({0xD9, 0xE8, 0xDB, 0xE3, 0xD9, 0xE8}, kVectors);  // fld1; fninit; fld1
  EXPECT_EQ(apart.count(Opcode::Interpret), 1u);
  EXPECT_EQ(apart.count(Opcode::EnterX87), 2u);
}

TEST(Frontend, ControlWordsThatUnmaskExceptionsAreTheInterpreters) {
  const TranslatedCode code({0xD9, 0x28}, kVectors);  // fldcw [rax]
  EXPECT_EQ(code.count(Opcode::BailIf), 1u);
  EXPECT_EQ(code.block.x87[0].argument, ir::HostX87Instruction::Argument::ControlWord);
  EXPECT_FALSE(code.block.x87[0].is_recorded);
}

TEST(Frontend, AlignedVectorOperandsAreChecked) {
  const TranslatedCode aligned({0x66, 0x0F, 0xEF, 0x08}, kVectors);  // pxor xmm1, [rax]
  EXPECT_EQ(aligned.only(Opcode::HostAddress).immediate, 16 | ir::kHostAligned);
  EXPECT_EQ(aligned.block.vectors[0].reads, 2);
  EXPECT_EQ(aligned.block.vectors[0].writes, 2);
  const TranslatedCode anywhere({0x0F, 0x10, 0x08}, kVectors);  // movups xmm1, [rax]
  EXPECT_EQ(anywhere.only(Opcode::HostAddress).immediate, 16u);
  EXPECT_EQ(anywhere.block.vectors[0].reads, 0);
}

TEST(Frontend, ScalarLoadsOverwriteAndScalarMovesMerge) {
  EXPECT_EQ(TranslatedCode({0xF3, 0x0F, 0x10, 0x08}, kVectors).block.vectors[0].reads, 0);  // movss xmm1, [rax]
  EXPECT_EQ(TranslatedCode({0xF3, 0x0F, 0x10, 0xCA}, kVectors).block.vectors[0].reads, 6);  // movss xmm1, xmm2
}

TEST(Frontend, VectorStoresWriteTheirOperand) {
  const TranslatedCode code({0x0F, 0x29, 0x08}, kVectors);  // movaps [rax], xmm1
  EXPECT_EQ(code.only(Opcode::HostAddress).immediate, 16 | ir::kHostAligned | ir::kHostWrite);
  EXPECT_TRUE(code.block.vectors[0].writes_memory);
  EXPECT_EQ(code.block.vectors[0].reads, 2);
  EXPECT_EQ(code.block.vectors[0].writes, 0);
}

TEST(Frontend, GeneralOperandsOfConversionsHaveTheirWidth) {
  const TranslatedCode to_double({0xF2, 0x48, 0x0F, 0x2A, 0xC1}, kVectors);  // cvtsi2sd xmm0, rcx
  EXPECT_TRUE(to_double.block.vectors[0].wide);
  EXPECT_EQ(to_double.block.vectors[0].source, ir::HostVectorInstruction::Source::General);
  const TranslatedCode to_integer({0xF2, 0x0F, 0x2C, 0xC1}, kVectors);  // cvttsd2si eax, xmm1
  EXPECT_EQ(to_integer.only(Opcode::HostVector).type, Type::I32);
  EXPECT_TRUE(to_integer.block.vectors[0].reg_is_general);
}

TEST(Frontend, VectorComparisonsGiveFlags) {
  const TranslatedCode code({0x0F, 0x2F, 0xC1}, kVectors);  // comiss xmm0, xmm1
  EXPECT_EQ(code.only(Opcode::HostVector).type, Type::I64);
  EXPECT_EQ(code.only(Opcode::SetFlags).auxiliary, static_cast<uint8_t>(cpu::FlagKind::Explicit));
  EXPECT_EQ(code.block.vectors[0].reads, 3);
  EXPECT_EQ(code.block.vectors[0].writes, 0);
}

TEST(Frontend, MultiplyAddReadsItsDestination) {
  const TranslatedCode code({0xC4, 0xE2, 0xF1, 0x98, 0xC2}, 2 | cpu::kModeAvx);  // vfmadd132pd xmm0, xmm1, xmm2
  EXPECT_EQ(code.block.vectors[0].reads, 7);
  EXPECT_EQ(code.block.vectors[0].writes, 1);
  EXPECT_TRUE(code.block.vectors[0].wide);
}

TEST(Frontend, CodeThatLoadsMxcsrLeaves) {
  const TranslatedCode code({0x90, 0x0F, 0xAE, 0x10}, kVectors);  // nop; ldmxcsr [rax]
  EXPECT_EQ(code.block.terminator().opcode, Opcode::Leave);
}

}  // namespace
}  // namespace calco::jit
