#include <gtest/gtest.h>

#include <vector>

#include "jit/opt/flags_at_target.h"

namespace calco::jit::opt {
namespace {

bool dead(const std::vector<uint8_t>& code) { return flags_dead_at(code, decode::FeatureSet().set()); }

TEST(FlagsAtTarget, AreDeadWhereArithmeticOverwritesThem) {
  EXPECT_TRUE(dead({0x48, 0x39, 0xD8}));                    // cmp rax, rbx
  EXPECT_TRUE(dead({0x85, 0xC0}));                          // test eax, eax
  EXPECT_TRUE(dead({0x89, 0xD8, 0x83, 0xC0, 0x01}));        // mov eax, ebx; add eax, 1
  EXPECT_TRUE(dead({0x48, 0x8D, 0x04, 0x1B, 0x31, 0xC9}));  // lea rax, [rbx+rbx]; xor ecx, ecx
  EXPECT_TRUE(dead({0xF3, 0x0F, 0x1E, 0xFA, 0x31, 0xC0}));  // endbr64; xor eax, eax
  EXPECT_TRUE(dead({0xFF, 0xC0, 0x85, 0xC0}));              // inc eax; test eax, eax
}

TEST(FlagsAtTarget, AreLiveWhereTheyAreRead) {
  EXPECT_FALSE(dead({0x0F, 0x94, 0xC0, 0x31, 0xC0}));  // sete al; xor eax, eax
  EXPECT_FALSE(dead({0x11, 0xD8, 0x31, 0xC0}));        // adc eax, ebx; xor eax, eax
  EXPECT_FALSE(dead({0x0F, 0x44, 0xC1, 0x31, 0xC0}));  // cmove eax, ecx; xor eax, eax
  EXPECT_FALSE(dead({0x9F, 0x31, 0xC0}));              // lahf; xor eax, eax
}

TEST(FlagsAtTarget, AreLiveWhereAFaultMayShowThem) {
  EXPECT_FALSE(dead({0x03, 0x03}));                    // add eax, [rbx]
  EXPECT_FALSE(dead({0x8B, 0x03, 0x31, 0xC0}));        // mov eax, [rbx]; xor eax, eax
  EXPECT_FALSE(dead({0x50, 0x31, 0xC0}));              // push rax; xor eax, eax
  EXPECT_FALSE(dead({0xF7, 0xF1, 0x31, 0xC0}));        // div ecx; xor eax, eax
  EXPECT_FALSE(dead({0x0F, 0x22, 0xD8, 0x31, 0xC0}));  // mov cr3, rax; xor eax, eax
  EXPECT_FALSE(dead({0xF0, 0x01, 0xD8}));              // lock add eax, ebx: #UD
}

TEST(FlagsAtTarget, ShiftsByAConstantOverwriteThemUnlessItIsZero) {
  EXPECT_TRUE(dead({0xC1, 0xE0, 0x04}));        // shl eax, 4
  EXPECT_FALSE(dead({0xC1, 0xE0, 0x20}));       // shl eax, 32
  EXPECT_TRUE(dead({0x48, 0xC1, 0xE0, 0x20}));  // shl rax, 32
  EXPECT_TRUE(dead({0xD1, 0xE8}));              // shr eax, 1
  EXPECT_FALSE(dead({0xD3, 0xE0}));             // shl eax, cl
}

TEST(FlagsAtTarget, AreLiveWhereTheCodeEndsOrIsTooFar) {
  EXPECT_FALSE(dead({}));
  EXPECT_FALSE(dead({0x31}));                                // the page's last byte
  EXPECT_FALSE(dead({0xEB, 0x00, 0x31, 0xC0}));              // jmp
  EXPECT_FALSE(dead({0x90, 0x90, 0x90, 0x90, 0x31, 0xC0}));  // nop four times
}

}  // namespace
}  // namespace calco::jit::opt
