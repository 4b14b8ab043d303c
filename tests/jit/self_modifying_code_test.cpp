// Code that changes while it is translated (SDM vol. 3, 8.1.3 and 11.6).
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;

// Where the immediate operand of MOV EAX, imm32 begins.
constexpr unsigned kImmediate = 1;

// MOV EAX, value; RET.
GuestCode& answer(GuestCode& code, uint32_t value) {
  code.mov(eax, value);
  code.ret();
  return code;
}

class SelfModifyingCode : public ::testing::TestWithParam<Tier>, protected JitFixture {
 protected:
  SelfModifyingCode() : JitFixture({.threshold = 1}, GetParam()) {}

  static constexpr uint64_t kFunction = kCode + 0x800;      // in the page of the code
  static constexpr uint64_t kFarFunction = kCode + 0x5800;  // in another page

  void load_answer(uint64_t address, uint32_t value) {
    GuestCode function;
    load(answer(function, value), address);
  }
  // Calls the function at `address` ten times, adds its answers in RBX, and increments its answer through `alias`
  // after each call.
  void load_caller(uint64_t address, uint64_t alias) {
    GuestCode code;
    code.xor_(ebx, ebx);
    code.mov(ecx, 10);
    code.mov(rsi, address);
    code.mov(rdi, alias + kImmediate);
    Xbyak::Label again;
    code.L(again);
    code.call(rsi);
    code.add(rbx, rax);
    code.inc(code.dword[rdi]);
    code.dec(ecx);
    code.jnz(again);
    code.hlt();
    load(code);
  }
};
constexpr uint64_t kSumFromOneToTen = 55;

TEST_P(SelfModifyingCode, AStoreIntoItsOwnBlockChangesTheNextInstruction) {
  GuestCode code;
  Xbyak::Label next;
  code.lea(rdi, code.ptr[rip + next]);
  code.mov(code.dword[rdi + kImmediate], 7);
  code.L(next);
  code.mov(eax, 1);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 7u);
  EXPECT_TRUE(entered_translations());
}

TEST_P(SelfModifyingCode, AReadModifyWriteOfItsOwnBlockHappensOnce) {
  GuestCode code;
  Xbyak::Label next;
  code.lea(rdi, code.ptr[rip + next]);
  code.mov(ecx, 5);
  code.lock();
  code.add(code.dword[rdi + kImmediate], ecx);
  code.add(code.dword[rdi + kImmediate], ecx);
  code.L(next);
  code.mov(eax, 1);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 11u);
}

TEST_P(SelfModifyingCode, AVectorStoreChangesTheNextInstruction) {
  GuestCode code;
  Xbyak::Label next;
  code.lea(rdi, code.ptr[rip + next]);
  code.movdqu(xmm1, code.ptr[rdi]);
  code.mov(eax, 0x0300);  // a byte of the immediate becomes 3
  code.movd(xmm2, eax);
  code.por(xmm1, xmm2);
  code.movdqu(code.ptr[rdi], xmm1);
  code.L(next);
  code.mov(eax, 0);
  for (int i = 0; i < 16; ++i) code.nop();
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 3u);
}

TEST_P(SelfModifyingCode, APushOverwritesTheNextInstruction) {
  GuestCode code;
  Xbyak::Label next;
  code.lea(rsp, code.ptr[rip + next]);
  code.add(rsp, 8);
  code.mov(rax, 0x90'90'F4'00'00'00'05'B8);  // MOV EAX, 5; HLT
  code.push(rax);
  code.L(next);
  code.mov(eax, 1);
  for (int i = 0; i < 8; ++i) code.nop();
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 5u);
}

TEST_P(SelfModifyingCode, OtherBlockOfTheSamePage) {
  load_answer(kFunction, 1);
  load_caller(kFunction, kFunction);
  run();
  EXPECT_EQ(reg(kRbx), kSumFromOneToTen);
  EXPECT_GE(jit->statistics().invalidations, 1u);
}

TEST_P(SelfModifyingCode, OtherPage) {
  load_answer(kFarFunction, 1);
  load_caller(kFarFunction, kFarFunction);
  run();
  EXPECT_EQ(reg(kRbx), kSumFromOneToTen);
  EXPECT_GE(jit->statistics().invalidations, 1u);
}

TEST_P(SelfModifyingCode, StoresThroughAnotherMappingOfThePage) {
  load_answer(kFarFunction, 1);
  load_caller(kFarFunction, kAlias + kFarFunction);
  run();
  EXPECT_EQ(reg(kRbx), kSumFromOneToTen);
}

TEST_P(SelfModifyingCode, CodeExecutedThroughAnotherMappingOfThePage) {
  load_answer(kFarFunction, 1);
  load_caller(kAlias + kFarFunction, kFarFunction);
  run();
  EXPECT_EQ(reg(kRbx), kSumFromOneToTen);
  load_answer(kFarFunction, 1);
  load_caller(kFarFunction, kAlias + kFarFunction);
  run();
  EXPECT_EQ(reg(kRbx), kSumFromOneToTen);
}

TEST_P(SelfModifyingCode, TwoMappingsOfAPageShareATranslation) {
  load_answer(kFunction, 9);
  GuestCode code;
  code.mov(rsi, kFunction);
  code.call(rsi);
  code.mov(rsi, kAlias + kFunction);
  code.call(rsi);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 9u);
  // Two pieces that end with a call, HLT alone, and the function once.
  EXPECT_EQ(jit->statistics().known, 4u);
}

TEST_P(SelfModifyingCode, RemapOfThePageUnderAJumpFromPageToPage) {
  // Page 0 jumps to page 1, which is one page and then another.
  const uint64_t first = kPages, second = kPages + 0x1000;
  map_page(0, 0x400000);
  map_page(1, 0x401000);
  GuestCode jump;
  jump.mov(rsi, second);
  jump.jmp(rsi);
  load(jump, 0x400000);
  load_answer(0x401000, 1);
  load_answer(0x402000, 2);

  GuestCode code;
  code.xor_(ebx, ebx);
  code.mov(ecx, 20);
  code.mov(r8, first);
  code.mov(rdi, kPageTable + 8);
  Xbyak::Label again;
  code.L(again);
  code.call(r8);
  code.lea(rbx, code.ptr[rbx + rbx * 2]);
  code.add(rbx, rax);
  code.xor_(code.dword[rdi], 0x401000 ^ 0x402000);
  code.mov(rdx, second);
  for (const uint8_t byte : {0x0F, 0x01, 0x3A}) code.db(byte);  // INVLPG [RDX]
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  load(code);
  run();
  uint64_t expected = 0;
  for (unsigned i = 0; i < 20; ++i) expected = expected * 3 + 1 + i % 2;
  EXPECT_EQ(reg(kRbx), expected);
}

TEST_P(SelfModifyingCode, RemapOfThePageUnderADirectJumpFromPageToPage) {
  const uint64_t first = kPages, second = kPages + 0x1000;
  map_page(0, 0x400000);
  map_page(1, 0x401000);
  GuestCode jump;
  jump.db(0xE9);  // JMP rel32
  jump.dd(0x1000 - 5);
  load(jump, 0x400000);
  load_answer(0x401000, 1);
  load_answer(0x402000, 2);
  GuestCode call;
  call.mov(rsi, first);
  call.call(rsi);
  call.hlt();
  load(call);
  for (unsigned i = 0; i < 6; ++i) {
    map.write_value<uint64_t>(kPageTable + 8, (i % 2 == 0 ? 0x401000u : 0x402000u) | kPresentWritable);
    cpu->mmu().invalidate_page(second);
    cpu->mode_changed();
    run();
    EXPECT_EQ(reg(kRax), 1 + i % 2);
  }
}

TEST_P(SelfModifyingCode, AnInstructionAcrossPagesFollowsItsSecondPage) {
  map_page(0, 0x400000);
  map_page(1, 0x401000);
  GuestCode code;
  code.nop();
  code.mov(eax, 0x11111111);  // two bytes of it in the second page
  code.hlt();
  constexpr uint64_t kInPage = 0x1000 - 4;
  const std::span<const uint8_t> bytes = code.bytes();
  load_code(bytes.first(4), 0x400000 + kInPage);
  load_code(bytes.subspan(4), 0x401000);
  load_code({0x22, 0x22, 0xF4}, 0x402000);
  run(kPages + kInPage);
  EXPECT_EQ(reg(kRax), 0x11111111u);
  map_page(1, 0x402000);
  run(kPages + kInPage);
  EXPECT_EQ(reg(kRax), 0x22221111u);
}

// A loop around an instruction that begins in one page and ends in the next, both of which hold nothing else of it.
class AcrossPages : public SelfModifyingCode {
 protected:
  static constexpr uint64_t kFirst = 0x400000, kSecond = 0x401000;
  static constexpr uint64_t kLoop = kPages + 0x1000 - 4;

  AcrossPages() {
    map_page(0, kFirst);
    map_page(1, kSecond);
    GuestCode code;
    Xbyak::Label again;
    code.L(again);
    code.nop();
    code.mov(eax, 0x11111111);  // two bytes of it in the second page
    code.dec(ecx);
    code.jnz(again);
    code.hlt();
    load_code(code.bytes().first(4), kFirst + 0x1000 - 4);
    load_code(code.bytes().subspan(4), kSecond);
  }
  void run_loop(uint32_t times) {
    cpu->registers[kRcx] = times;
    run(kLoop);
  }
};

TEST_P(AcrossPages, TheInstructionIsTranslated) {
  run_loop(10);
  const uint64_t interpreted = cpu->instructions_retired;
  run_loop(1000);
  EXPECT_LT(cpu->instructions_retired - interpreted, 100u);
  EXPECT_EQ(reg(kRax), 0x11111111u);
}

TEST_P(AcrossPages, AStoreIntoItsSecondPageChangesIt) {
  run_loop(10);
  map.write_value<uint8_t>(kSecond, 0x33);
  run_loop(10);
  EXPECT_EQ(reg(kRax), 0x11331111u);
  map.write_value<uint8_t>(kFirst + 0xFFE, 0x44);
  run_loop(10);
  EXPECT_EQ(reg(kRax), 0x11331144u);
}

TEST_P(AcrossPages, ARemapOfItsSecondPageChangesIt) {
  run_loop(10);
  load_code({0x22, 0x22, 0xF4}, 0x402000);
  map_page(1, 0x402000);
  run_loop(10);
  EXPECT_EQ(reg(kRax), 0x22221111u);
  map_page(1, kSecond);
  run_loop(10);
  EXPECT_EQ(reg(kRax), 0x11111111u);
}

// --- Somebody else's stores ------------------------------------------------------------------------------------------

// A function that is called in a loop until it answers 2.
class ForeignStores : public SelfModifyingCode {
 protected:
  void load_waiting_loop() {
    load_answer(kFarFunction, 1);
    GuestCode code;
    code.mov(rsi, kFarFunction);
    code.mov(rdi, kData);
    Xbyak::Label again;
    code.L(again);
    code.inc(code.qword[rdi]);
    code.call(rsi);
    code.cmp(eax, 2);
    code.jne(again);
    code.hlt();
    load(code);
  }
  void wait_for_iterations(uint64_t count) {
    const std::atomic_ref<uint64_t> iterations(*reinterpret_cast<uint64_t*>(memory.data() + kData));
    while (iterations.load() < count) std::this_thread::yield();
  }
};

TEST_P(ForeignStores, DirectMemoryAccessChangesCodeThatExecutes) {
  load_waiting_loop();
  std::thread processor([this] { run(); });
  wait_for_iterations(1000);
  map.write_value<uint32_t>(kFarFunction + kImmediate, 2);
  processor.join();
  EXPECT_EQ(reg(kRax), 2u);
}

TEST_P(ForeignStores, AnotherProcessorChangesCodeThatExecutes) {
  load_waiting_loop();
  SilentApic other_apic;
  Cpu other({.memory_map = map,
             .ports = ports,
             .apic = other_apic,
             .log = log,
             .model = model,
             .group = group,
             .tsc = [] { return uint64_t{0}; },
             .tsc_frequency = 1'000'000'000,
             .triple_fault = [] {},
             .index = 1});
  other.set_translator(jit.get());
  static_cast<CpuState&>(other) = static_cast<const CpuState&>(*cpu);
  other.mmu().flush_all();
  other.mode_changed();
  GuestCode writer;
  Xbyak::Label again;
  writer.mov(rsi, kFarFunction + kImmediate);
  writer.mov(ecx, 100'000);
  writer.L(again);
  writer.mov(writer.dword[rsi], 3);
  writer.mov(writer.dword[rsi], 1);
  writer.dec(ecx);
  writer.jnz(again);
  writer.mov(writer.dword[rsi], 2);
  writer.hlt();
  load(writer, kCode + 0x10000);
  other.registers[kRip] = kCode + 0x10000;

  std::thread processor([this] { run(); });
  wait_for_iterations(1000);
  other.run();
  processor.join();
  EXPECT_EQ(reg(kRax), 2u);
  EXPECT_EQ(other.activity, Activity::Halted);
  other.set_translator(nullptr);
}

// --- Revival ---------------------------------------------------------------------------------------------------------

TEST_P(SelfModifyingCode, BytesThatReturnReviveTheirTranslation) {
  GuestCode code;
  Xbyak::Label again;
  code.mov(rsi, kFarFunction);
  code.mov(ecx, 5000);  // what changes often is interpreted for longer
  code.L(again);
  code.call(rsi);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  load(code);
  load_answer(kFarFunction, 1);
  run();
  load_answer(kFarFunction, 2);
  run();
  EXPECT_EQ(reg(kRax), 2u);
  const uint64_t translations = jit->statistics().translations;
  load_answer(kFarFunction, 1);
  run();
  EXPECT_EQ(reg(kRax), 1u);
  load_answer(kFarFunction, 2);
  run();
  EXPECT_EQ(reg(kRax), 2u);
  EXPECT_EQ(jit->statistics().translations, translations);
  EXPECT_EQ(jit->statistics().revivals, 2u);
}

TEST_P(SelfModifyingCode, BytesThatAppearInAnotherPageReviveTheirTranslation) {
  GuestCode function;
  Xbyak::Label tail;
  function.jmp(tail);  // a link within the page
  function.nop();
  function.L(tail);
  function.lea(rax, function.ptr[rip + tail]);
  function.ret();
  GuestCode code;
  code.call(rsi);
  code.hlt();
  load(code);
  load(function, kFarFunction);
  cpu->registers[kRsi] = kFarFunction;
  run();
  const uint64_t in_first_page = reg(kRax);
  load_answer(kFarFunction, 1);
  run();
  EXPECT_EQ(reg(kRax), 1u);

  load(function, kFarFunction + 0x3000);
  cpu->registers[kRsi] = kFarFunction + 0x3000;
  run();
  EXPECT_EQ(reg(kRax), in_first_page + 0x3000);
  EXPECT_GE(jit->statistics().revivals, 1u);
  cpu->registers[kRsi] = kFarFunction;
  run();
  EXPECT_EQ(reg(kRax), 1u);
}

INSTANTIATE_TEST_SUITE_P(Tiers, SelfModifyingCode, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);
INSTANTIATE_TEST_SUITE_P(Tiers, AcrossPages, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);
INSTANTIATE_TEST_SUITE_P(Tiers, ForeignStores, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);

// --- A full code cache -----------------------------------------------------------------------------------------------

class SmallCodeCache : public ::testing::Test, protected JitFixture {
 protected:
  // As small as it gets.
  SmallCodeCache() : JitFixture({.threshold = 1, .code_bytes = 1}) {}
};

TEST_F(SmallCodeCache, WhatIsThrownAwayIsTranslatedAnew) {
  constexpr uint64_t kFunctions = 0x400000, kCount = 0x1000, kDistance = 64;
  for (uint64_t i = 0; i < kCount; ++i) {
    GuestCode function;
    load(answer(function, static_cast<uint32_t>(i)), kFunctions + i * kDistance);
  }
  GuestCode code;
  code.xor_(ebx, ebx);
  code.mov(edx, 3);
  Xbyak::Label again, next;
  code.L(again);
  code.mov(rsi, kFunctions);
  code.mov(ecx, kCount);
  code.L(next);
  code.call(rsi);
  code.add(rbx, rax);
  code.add(rsi, kDistance);
  code.dec(ecx);
  code.jnz(next);
  code.dec(edx);
  code.jnz(again);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRbx), 3 * kCount * (kCount - 1) / 2);
  EXPECT_GT(jit->statistics().evictions, kCount);
}

}  // namespace
}  // namespace calco::jit
