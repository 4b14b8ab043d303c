// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2, 4.1).
#include <algorithm>
#include <array>
#include <utility>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

using host::ExplicitIndex, host::ExplicitMask, host::ImplicitIndex, host::ImplicitMask;
using host::StringResult, host::Strings;
using Compare = void (*)(const Strings& strings, StringResult& result);

// One host instruction for each control byte; bit 7 is reserved and ignored.
constexpr int kControls = 128;
template <template <int> typename Instructions, int... kControl>
constexpr std::array<Compare, kControls> make_table(std::integer_sequence<int, kControl...>) {
  return {Instructions<kControl>::compare...};
}
template <template <int> typename Instructions>
constexpr auto kTable = make_table<Instructions>(std::make_integer_sequence<int, kControls>{});

// Lengths count to 8 or 16 and saturate, so 32 bits can hold what 64 say.
int32_t length(const Cpu& cpu, Register number, bool wide) {
  const auto value = static_cast<int64_t>(cpu.registers[number]);
  return static_cast<int32_t>(std::clamp<int64_t>(wide ? value : static_cast<int32_t>(value), -16, 16));
}

template <template <int> typename Instructions, bool kMask, Encoding kEncoding>
void compare_strings(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const bool wide = op.operand_size == 8;
  const Xmm second = op.is_memory ? load_xmm<Source::Memory, Alignment::Any>(cpu, op, tlb) : xmm(cpu, op.rm);
  StringResult result;
  kTable<Instructions>[op.immediate % kControls](
      {xmm(cpu, op.reg), second, length(cpu, kRax, wide), length(cpu, kRdx, wide)}, result);
  if constexpr (kMask) {
    set_result<kEncoding>(cpu, 0, result.mask);
  } else {
    cpu.registers[kRcx] = result.index;
  }
  set_arithmetic_flags(cpu.flags, (result.carry ? rflags::kCf : 0) | (result.zero ? rflags::kZf : 0) |
                                      (result.sign ? rflags::kSf : 0) | (result.overflow ? rflags::kOf : 0));
}

template <template <int> typename Instructions, bool kMask>
Selection select_strings(const Instruction& instruction) {
  return by_scalar_encoding(instruction, []<Encoding kEncoding>() {
    return select_sse<compare_strings<Instructions, kMask, kEncoding>, kEncoding>();
  });
}

}  // namespace

Selection select_string_compare(const Instruction& instruction, Op&) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pcmpestri:
      return select_strings<ExplicitIndex, false>(instruction);
    case Mnemonic::Pcmpestrm:
      return select_strings<ExplicitMask, true>(instruction);
    case Mnemonic::Pcmpistri:
      return select_strings<ImplicitIndex, false>(instruction);
    case Mnemonic::Pcmpistrm:
      return select_strings<ImplicitMask, true>(instruction);
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
