// Every vector instruction that the frontend hands to the host gives through LLVM what the host gives by itself.
#include <gtest/gtest.h>
#include <xbyak/xbyak_util.h>

#include <set>
#include <tuple>

#include "cpu/exec/block_cache.h"
#include "jit/frontend/frontend.h"
#include "jit/ir/builder.h"
#include "jit/ir/printer.h"
#include "jit/llvm/llvm_compiler.h"
#include "jit/llvm/vector_operands.h"
#include "tests/cpu/opcode_space.h"
#include "tests/jit/random_block.h"
#include "tests/jit/translation_rig.h"

namespace calco::jit {
namespace {

using ir::HostVectorInstruction;

struct VectorState {
  alignas(32) std::array<cpu::VectorRegister, 16> vectors;
  alignas(32) std::array<uint8_t, 32> memory;
  uint64_t general = 0;  // operand, then result
  uint64_t flags = 0;
  uint32_t mxcsr = 0x1F80;
};

// The instruction by itself, between loads and stores of all vector registers. RAX is its operand.
class NativeVector : public Xbyak::CodeGenerator {
 public:
  explicit NativeVector(const std::vector<uint8_t>& code) {
    push(rbx);
    mov(rbx, rdi);
    mov(rax, rsi);
    for (int i = 0; i < 16; ++i) vmovups(Xbyak::Ymm(i), ptr[rbx + i * 32]);
    ldmxcsr(dword[rbx + static_cast<int>(offsetof(VectorState, mxcsr))]);
    for (const uint8_t byte : code) db(byte);
    mov(qword[rbx + static_cast<int>(offsetof(VectorState, general))], rax);
    pushfq();
    pop(rax);
    mov(qword[rbx + static_cast<int>(offsetof(VectorState, flags))], rax);
    stmxcsr(dword[rbx + static_cast<int>(offsetof(VectorState, mxcsr))]);
    for (int i = 0; i < 16; ++i) vmovups(ptr[rbx + i * 32], Xbyak::Ymm(i));
    vzeroupper();
    pop(rbx);
    ret();
  }
  void run(VectorState& state, uint64_t operand) { getCode<void (*)(VectorState*, uint64_t)>()(&state, operand); }
};

// RBX = the instruction with RAX as its operand, if it has one.
ir::Block block_of(const HostVectorInstruction& vector) {
  ir::Block block;
  ir::Builder builder(block);
  builder.begin_guest_instruction(0, 4);
  ir::Value operand = ir::kNoValue;
  if (vector.source != HostVectorInstruction::Source::Vector) operand = builder.get_register(cpu::kRax);
  if (vector.source == HostVectorInstruction::Source::General) {
    operand = builder.truncate(ir::type_of_bytes(vector.general_size), operand);
  }
  const bool general = vector.reg_is_general || vector.rm_is_general_result;
  const ir::Type type = general             ? ir::type_of_bytes(vector.general_size)
                        : vector.sets_flags ? ir::Type::I64
                                            : ir::Type::Void;
  const ir::Value result =
      builder.append(ir::Opcode::HostVector, type, {operand, ir::kNoValue, ir::kNoValue}, 0, block.vectors.size());
  block.vectors.push_back(vector);
  if (type != ir::Type::Void) builder.set_register(cpu::kRbx, builder.zero_extend(ir::Type::I64, result));
  builder.append(ir::Opcode::Leave, ir::Type::Void, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, 0, 4);
  return block;
}

class LlvmVector : public testing::Test {
 protected:
  LlvmVector() : compiler_(make_llvm_compiler(TranslationRig::layout(), rig_.entries, llvm_services())) {
    features_.set();
  }

  void SetUp() override {
    if (!Xbyak::util::Cpu().has(Xbyak::util::Cpu::tAVX2)) GTEST_SKIP() << "the host has no AVX2";
  }

  // The first case of each form: mnemonic, encoding, kind of operand.
  void check(const decode::CaseBytes& bytes) {
    constexpr uint32_t kMode = 2 | cpu::kModeVector | cpu::kModeAvx;
    if (HasFatalFailure() || !translate({bytes, 0x5123, kMode, features_, 1}, block_) || block_.vectors.empty()) return;
    const HostVectorInstruction& vector = block_.vectors[0];
    const auto form = std::tuple(vector.mnemonic, vector.map, vector.prefix, vector.opcode, vector.wide,
                                 vector.long_vector, vector.source);
    if (forms_.insert(form).second) compare(vector);
  }

  void compare(const HostVectorInstruction& vector) {
    const auto syntax = vector_syntax(vector);
    ASSERT_TRUE(syntax) << decode::name(vector.mnemonic);
    const std::unique_ptr<CompiledRegion> region =
        compiler_->compile({{block_of(vector)}}, [](size_t, int32_t) { return nullptr; });
    ASSERT_NE(region, nullptr) << compiler_->refusal();
    NativeVector native(syntax->code);
    for (unsigned round = 0; round < 4; ++round) {
      VectorState expected = random_state();
      VectorState actual = expected;
      const bool memory = vector.source == HostVectorInstruction::Source::Memory;
      native.run(expected, memory ? reinterpret_cast<uintptr_t>(expected.memory.data()) : expected.general);
      run(*region, actual, memory ? reinterpret_cast<uintptr_t>(actual.memory.data()) : actual.general);
      compare(vector, expected, actual);
    }
  }

  void run(const CompiledRegion& region, VectorState& state, uint64_t operand) {
    rig_.state.cpu.vectors = state.vectors;
    rig_.state.cpu.registers[cpu::kRax] = operand;
    __builtin_ia32_ldmxcsr(state.mxcsr);
    rig_.enter(region.entry());
    state.mxcsr = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1F80);
    state.vectors = rig_.state.cpu.vectors;
    state.general = rig_.state.cpu.registers[cpu::kRbx];
  }

  void compare(const HostVectorInstruction& vector, const VectorState& expected, const VectorState& actual) {
    const std::string text = ir::print(block_);
    for (unsigned i = 0; i < 16; ++i) {
      ASSERT_EQ(actual.vectors[i].qwords, expected.vectors[i].qwords) << i << "\n" << text;
    }
    ASSERT_EQ(actual.memory, expected.memory) << text;
    ASSERT_EQ(actual.mxcsr, expected.mxcsr) << text;
    if (vector.sets_flags) ASSERT_EQ(actual.general, expected.flags & cpu::rflags::kArithmetic) << text;
    if (vector.reg_is_general || vector.rm_is_general_result) ASSERT_EQ(actual.general, expected.general) << text;
  }

  // Numbers, small integers, infinities and NaNs.
  VectorState random_state() {
    constexpr std::array<uint32_t, 6> kSpecial = {0x7F800000, 0xFFC00001, 0x7F812345, 0x80000000, 0x3F800000, 1};
    VectorState state{};
    auto number = [&] {
      return random_() % 3 == 0 ? kSpecial[random_() % kSpecial.size()] : static_cast<uint32_t>(random_());
    };
    for (cpu::VectorRegister& each : state.vectors) {
      for (uint32_t& dword : each.dwords) dword = number();
    }
    for (uint8_t& byte : state.memory) byte = static_cast<uint8_t>(random_());
    state.general = random_();
    return state;
  }

  TranslationRig rig_;
  std::unique_ptr<RegionCompiler> compiler_;
  decode::FeatureSet features_;
  ir::Block block_;
  ir::Random random_{1};
  std::set<std::tuple<decode::Mnemonic, uint8_t, uint8_t, uint8_t, bool, bool, HostVectorInstruction::Source>> forms_;
};

TEST_F(LlvmVector, LegacyInstructionsAreTheHosts) {
  decode::for_each_legacy_case(decode::CodeSize::Bits64, [this](const decode::CaseBytes& bytes) { check(bytes); });
  EXPECT_GT(forms_.size(), 400u);
}

TEST_F(LlvmVector, VexInstructionsAreTheHosts) {
  decode::for_each_vex_case([this](const decode::CaseBytes& bytes) { check(bytes); });
  EXPECT_GT(forms_.size(), 500u);
}

// LLVM's assembler swaps the sources of what it takes for commutative where that makes the instruction shorter.
TEST_F(LlvmVector, OfTwoNansTheFirstSourceIsTheResultInWhateverRegisters) {
  constexpr uint32_t kMode = 2 | cpu::kModeVector | cpu::kModeAvx;
  Xbyak::CodeGenerator code;
  for (int i = 0; i < 16; ++i) code.vmulpd(Xbyak::Xmm(i), Xbyak::Xmm(i), Xbyak::Xmm(15 - i));
  for (int i = 0; i < 16; ++i) code.vaddpd(Xbyak::Xmm(i), Xbyak::Xmm(i), Xbyak::Xmm(15 - i));
  code.hlt();
  ASSERT_TRUE(translate({{code.getCode(), code.getSize()}, 0x5000, kMode, features_, 32}, block_));
  const auto region = compiler_->compile({{block_}}, [this](size_t, int32_t target) { return rig_.link_cell(target); });
  ASSERT_NE(region, nullptr) << compiler_->refusal();
  VectorState state{};
  state.mxcsr = 0x1F80;
  for (unsigned i = 0; i < 16; ++i) {
    state.vectors[i].qwords[0] = 0x7FF8'0000'0000'0100 + i;
    state.vectors[i].qwords[1] = 0xFFF8'0000'0000'0200 + i;
  }
  const VectorState before = state;
  run(*region, state, 0);
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(state.vectors[i].qwords, before.vectors[i].qwords) << i;
}

}  // namespace
}  // namespace calco::jit
