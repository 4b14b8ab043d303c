// Encodings by hand, named after what the manuals say of them (SDM vol. 2, chapter 2 and the instruction pages).
#include <gtest/gtest.h>

#include <vector>

#include "cpu/decode/row.h"
#include "cpu/state.h"

namespace calco::decode {
namespace {

using Bytes = std::vector<uint8_t>;

FeatureSet every_feature() {
  FeatureSet features;
  features.set();
  return features;
}

struct Decoded : Instruction {
  Status status;
};

Decoded decoded(CodeSize code_size, const Bytes& bytes, const FeatureSet& features = every_feature()) {
  Decoded result;
  result.status = decode(bytes, code_size, features, result);
  return result;
}
Decoded decoded_64(const Bytes& bytes) { return decoded(CodeSize::Bits64, bytes); }
Decoded decoded_32(const Bytes& bytes) { return decoded(CodeSize::Bits32, bytes); }
Decoded decoded_16(const Bytes& bytes) { return decoded(CodeSize::Bits16, bytes); }

TEST(Decoder, RexWMakesTheOperandSize64Bits) {
  const Decoded mov = decoded_64({0x48, 0x89, 0xE5});
  EXPECT_EQ(mov.status, Status::Ok);
  EXPECT_EQ(mov.mnemonic, Mnemonic::Mov);
  EXPECT_EQ(mov.length, 3);
  EXPECT_EQ(mov.operand_size, 8);
  EXPECT_EQ(mov.operands[0].number, cpu::kRbp);
  EXPECT_EQ(mov.operands[1].number, cpu::kRsp);
}

TEST(Decoder, RexNotDirectlyBeforeTheOpcodeIsIgnored) {
  const Decoded mov = decoded_64({0x48, 0x66, 0x89, 0xE5});
  EXPECT_EQ(mov.status, Status::Ok);
  EXPECT_EQ(mov.operand_size, 2);
}

TEST(Decoder, ByteRegisters4To7AreHighBytesWithoutRex) {
  EXPECT_EQ(decoded_64({0x88, 0xE1}).operands[1].number, 16);
  EXPECT_EQ(decoded_64({0x40, 0x88, 0xE1}).operands[1].number, cpu::kRsp);
}

TEST(Decoder, TheLastOfF2AndF3Selects) {
  EXPECT_EQ(decoded_64({0xF2, 0xF3, 0x0F, 0x10, 0xC1}).mnemonic, Mnemonic::Movss);
  EXPECT_EQ(decoded_64({0xF3, 0xF2, 0x0F, 0x10, 0xC1}).mnemonic, Mnemonic::Movsd);
  EXPECT_EQ(decoded_64({0xF3, 0x66, 0x0F, 0x10, 0xC1}).mnemonic, Mnemonic::Movss);
}

TEST(Decoder, MoreThan15BytesAreTooLong) {
  Bytes bytes(14, 0x66);
  bytes.push_back(0x90);
  EXPECT_EQ(decoded_64(bytes).status, Status::Ok);
  bytes.insert(bytes.begin(), 0x66);
  EXPECT_EQ(decoded_64(bytes).status, Status::TooLong);
}

TEST(Decoder, AnInstructionCutShortNeedsMoreBytes) {
  EXPECT_EQ(decoded_64({}).status, Status::NeedMoreBytes);
  EXPECT_EQ(decoded_64({0x0F}).status, Status::NeedMoreBytes);
  EXPECT_EQ(decoded_64({0x8B, 0x04}).status, Status::NeedMoreBytes);
  EXPECT_EQ(decoded_64({0xE9, 1, 2, 3}).status, Status::NeedMoreBytes);
}

TEST(Decoder, LockNeedsALockableInstructionWithAMemoryDestination) {
  EXPECT_EQ(decoded_64({0xF0, 0x01, 0x08}).status, Status::Ok);
  EXPECT_EQ(decoded_64({0xF0, 0x01, 0xC8}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0xF0, 0x03, 0x08}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0xF0, 0x39, 0x08}).status, Status::InvalidOpcode);
}

TEST(Decoder, RipRelativeAddressesHaveNoBaseOutsideOf64BitCode) {
  EXPECT_EQ(decoded_64({0x8B, 0x05, 4, 0, 0, 0}).memory.base, cpu::kRip);
  EXPECT_EQ(decoded_32({0x8B, 0x05, 4, 0, 0, 0}).memory.base, cpu::kZero);
  EXPECT_EQ(decoded_64({0x8B, 0x04, 0x25, 4, 0, 0, 0}).memory.base, cpu::kZero);
}

TEST(Decoder, StackBasedAddressesUseTheStackSegment) {
  EXPECT_EQ(decoded_32({0x8B, 0x45, 0x08}).memory.segment, cpu::kSs);
  EXPECT_EQ(decoded_32({0x3E, 0x8B, 0x45, 0x08}).memory.segment, cpu::kDs);
  EXPECT_EQ(decoded_16({0x8B, 0x46, 0x08}).memory.segment, cpu::kSs);
  EXPECT_EQ(decoded_64({0x2E, 0x8B, 0x00}).memory.segment, cpu::kNoSegment);
  EXPECT_EQ(decoded_64({0x65, 0x8B, 0x00}).memory.segment, cpu::kGs);
  EXPECT_EQ(decoded_64({0x8B, 0x04, 0x24}).memory.segment, cpu::kSs);
}

TEST(Decoder, SixteenBitAddressesAddBaseAndIndex) {
  const Decoded mov = decoded_16({0x8B, 0x42, 0xFE});
  EXPECT_EQ(mov.memory.base, cpu::kRbp);
  EXPECT_EQ(mov.memory.index, cpu::kRsi);
  EXPECT_EQ(mov.memory.displacement, -2);
  EXPECT_EQ(mov.memory.address_size, 2);
}

TEST(Decoder, ImmediatesAreSignExtendedFromTheirEncodedSize) {
  EXPECT_EQ(decoded_64({0x83, 0xC0, 0xFF}).immediate, ~uint64_t{0});
  EXPECT_EQ(decoded_64({0x48, 0x05, 0, 0, 0, 0x80}).immediate, 0xFFFFFFFF80000000);
  EXPECT_EQ(decoded_64({0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8}).immediate, 0x0807060504030201u);
  EXPECT_EQ(decoded_64({0xC2, 0xFF, 0xFF}).immediate, 0xFFFFu);
}

TEST(Decoder, EnterHasTwoImmediates) {
  const Decoded enter = decoded_32({0xC8, 0x10, 0x00, 0x03});
  EXPECT_EQ(enter.immediate, 16u);
  EXPECT_EQ(enter.immediate2, 3u);
}

TEST(Decoder, NopIsExchangeOfRaxUnlessRexB) {
  EXPECT_EQ(decoded_64({0x90}).mnemonic, Mnemonic::Nop);
  EXPECT_EQ(decoded_64({0xF3, 0x90}).mnemonic, Mnemonic::Pause);
  EXPECT_EQ(decoded_64({0x41, 0x90}).mnemonic, Mnemonic::Xchg);
}

TEST(Decoder, PushAndPopAre64BitsWideByDefault) {
  EXPECT_EQ(decoded_64({0x50}).operand_size, 8);
  EXPECT_EQ(decoded_64({0x66, 0x50}).operand_size, 2);
  EXPECT_EQ(decoded_64({0x66, 0x48, 0x50}).operand_size, 8);
}

TEST(Decoder, SomeOpcodesAreInvalidIn64BitCode) {
  EXPECT_EQ(decoded_64({0x06}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0x62, 0x00}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0xD4, 0x0A}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_32({0x62, 0x00}).mnemonic, Mnemonic::Bound);
  EXPECT_EQ(decoded_32({0x63, 0x00}).mnemonic, Mnemonic::Arpl);
  EXPECT_EQ(decoded_64({0x63, 0x00}).mnemonic, Mnemonic::Movsxd);
}

TEST(Decoder, VexIsLoadFarPointerOutsideOf64BitCodeWhenModIsNot3) {
  EXPECT_EQ(decoded_32({0xC4, 0x00}).mnemonic, Mnemonic::Les);
  EXPECT_EQ(decoded_32({0xC4, 0xE2, 0x70, 0xF2, 0xC2}).mnemonic, Mnemonic::Andn);
}

TEST(Decoder, VexAfter66F2F3LockOrRexIsInvalid) {
  EXPECT_EQ(decoded_64({0xC4, 0xE2, 0x70, 0xF2, 0xC2}).status, Status::Ok);
  EXPECT_EQ(decoded_64({0x66, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0xF3, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0xF0, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}).status, Status::InvalidOpcode);
  EXPECT_EQ(decoded_64({0x40, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}).status, Status::InvalidOpcode);
}

TEST(Decoder, VexVvvvNamesTheSecondSource) {
  const Decoded andn = decoded_64({0xC4, 0xE2, 0x70, 0xF2, 0xC2});
  EXPECT_EQ(andn.operands[0].number, cpu::kRax);
  EXPECT_EQ(andn.operands[1].number, cpu::kRcx);
  EXPECT_EQ(andn.operands[2].number, cpu::kRdx);
}

TEST(Decoder, VexLSelects256BitVectors) {
  const Decoded vaddps = decoded_64({0xC5, 0xF4, 0x58, 0xC2});
  EXPECT_EQ(vaddps.mnemonic, Mnemonic::Vaddps);
  EXPECT_EQ(vaddps.vector_length, 32);
  EXPECT_EQ(vaddps.operands[1].number, 1);
  EXPECT_EQ(vaddps.operands[2].size, 32);
  EXPECT_EQ(decoded_64({0xC5, 0xF0, 0x58, 0xC2}).operands[2].size, 16);
}

TEST(Decoder, VexVvvvMustBe1111WhereItNamesNothing) {
  EXPECT_EQ(decoded_64({0xC5, 0xF8, 0x28, 0xC1}).mnemonic, Mnemonic::Vmovaps);
  EXPECT_EQ(decoded_64({0xC5, 0xF0, 0x28, 0xC1}).status, Status::InvalidOpcode);
}

TEST(Decoder, GathersHaveAVectorIndex) {
  const Decoded gather = decoded_64({0xC4, 0xE2, 0x69, 0x90, 0x04, 0x20});
  EXPECT_EQ(gather.mnemonic, Mnemonic::Vpgatherdd);
  EXPECT_EQ(gather.memory.index, 4);
  EXPECT_EQ(decoded_64({0xC4, 0xE2, 0x69, 0x90, 0x00}).status, Status::InvalidOpcode);
}

TEST(Decoder, TheFourthOperandOfVblendvpsIsInTheImmediate) {
  EXPECT_EQ(decoded_64({0xC4, 0xE3, 0x71, 0x4A, 0xC2, 0x30}).operands[3].number, 3);
}

TEST(Decoder, AMissingFeatureLeavesTheOlderMeaning) {
  FeatureSet features = every_feature();
  features.reset(static_cast<size_t>(Feature::Lzcnt));
  EXPECT_EQ(decoded_64({0xF3, 0x0F, 0xBD, 0xC1}).mnemonic, Mnemonic::Lzcnt);
  EXPECT_EQ(decoded(CodeSize::Bits64, {0xF3, 0x0F, 0xBD, 0xC1}, features).mnemonic, Mnemonic::Bsr);
}

TEST(Decoder, RexWSelectsCmpxchg16b) {
  EXPECT_EQ(decoded_64({0x0F, 0xC7, 0x08}).mnemonic, Mnemonic::Cmpxchg8b);
  EXPECT_EQ(decoded_64({0x48, 0x0F, 0xC7, 0x08}).mnemonic, Mnemonic::Cmpxchg16b);
}

TEST(Decoder, MoveToControlRegisterIgnoresMod) {
  const Decoded mov = decoded_64({0x0F, 0x22, 0x18});
  EXPECT_EQ(mov.status, Status::Ok);
  EXPECT_EQ(mov.length, 3);
  EXPECT_EQ(mov.operands[0].number, 3);
  EXPECT_EQ(mov.operands[1].kind, OperandKind::General);
  EXPECT_EQ(decoded_64({0x0F, 0x22, 0xC8}).status, Status::InvalidOpcode);
}

TEST(Decoder, StringInstructionsCarryTheSourceAddress) {
  const Decoded movs = decoded_64({0xF3, 0x64, 0x48, 0xA5});
  EXPECT_EQ(movs.mnemonic, Mnemonic::Movs);
  EXPECT_TRUE(movs.repeat);
  EXPECT_EQ(movs.operands[0].size, 8);
  EXPECT_EQ(movs.memory.base, cpu::kRsi);
  EXPECT_EQ(movs.memory.segment, cpu::kFs);
}

TEST(Decoder, ConditionIsTheLowFourOpcodeBits) {
  EXPECT_EQ(decoded_64({0x75, 0xFE}).condition, 5);
  EXPECT_EQ(decoded_64({0x0F, 0x4F, 0xC0}).condition, 15);
  EXPECT_EQ(decoded_64({0x0F, 0x94, 0xC0}).mnemonic, Mnemonic::Setcc);
}

TEST(Decoder, RowsDescribeThemselvesAsTheManualDoes) {
  EXPECT_EQ(describe(*decoded_64({0x66, 0x0F, 0x38, 0x17, 0xC1}).row), "66 0F38 17 /r ptest");
  EXPECT_EQ(describe(*decoded_64({0x0F, 0x01, 0xF9}).row), "0F 01 F9 rdtscp");
}

}  // namespace
}  // namespace calco::decode
