// The decoder and the host CPU agree on what is an instruction and how long it is, over a share of the opcode space.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "cpu/decode/row.h"
#include "tests/cpu/host_probe.h"
#include "tests/cpu/opcode_space.h"

namespace calco::decode {
namespace {

// Every how many cases the host is asked; a prime, so that all bytes vary.
constexpr unsigned kLegacyStride = 1499;
constexpr unsigned kVexStride = 997;

// Instructions that decode, but are #UD at CPL 3, outside SMM, in long mode (SYSENTER on AMD), or by definition.
constexpr Mnemonic kInvalidWhenExecuted[] = {
    Mnemonic::Ud0,        Mnemonic::Ud1,        Mnemonic::Ud2,        Mnemonic::Rsm,        Mnemonic::Sysenter,
    Mnemonic::Clac,       Mnemonic::Stac,       Mnemonic::Vpgatherdd, Mnemonic::Vpgatherdq, Mnemonic::Vpgatherqd,
    Mnemonic::Vpgatherqq, Mnemonic::Vgatherdps, Mnemonic::Vgatherdpd, Mnemonic::Vgatherqps, Mnemonic::Vgatherqpd};

// Encodings of the host that no CPU model has: map and opcode, without prefixes.
struct Unmodelled {
  std::initializer_list<uint8_t> opcode;
  const char* what;
};
const Unmodelled kUnmodelled[] = {
    {{0x0F, 0x01}, "virtualisation, MONITORX, CLZERO, RDPRU"},
    {{0x0F, 0x20}, "LOCK MOV CR0 for CR8"},
    {{0x0F, 0x22}, "LOCK MOV CR0 for CR8"},
    {{0x0F, 0x38, 0xCF}, "GFNI"},
    {{0x0F, 0x38, 0xF8}, "MOVDIR64B"},
    {{0x0F, 0x38, 0xF9}, "MOVDIRI"},
    {{0x0F, 0x3A, 0xCE}, "GFNI"},
    {{0x0F, 0x3A, 0xCF}, "GFNI"},
    {{0x62}, "EVEX"},
    {{0xC4}, "opmasks, VNNI, GFNI, VAES"},
    {{0xC5}, "opmasks"},
};

bool is_unmodelled(std::span<const uint8_t> bytes, CodeSize code_size) {
  while (!bytes.empty() && (is_legacy_prefix(bytes[0]) || is_rex(bytes[0], code_size))) bytes = bytes.subspan(1);
  return std::any_of(std::begin(kUnmodelled), std::end(kUnmodelled), [&](const Unmodelled& one) {
    return bytes.size() >= one.opcode.size() && std::equal(one.opcode.begin(), one.opcode.end(), bytes.begin());
  });
}

// What the host of these tests has of the features that it could lack.
FeatureSet host_features() {
  FeatureSet features;
  features.set();
  for (const Feature missing :
       {Feature::ThreeDNow, Feature::Smx, Feature::Waitpkg, Feature::Wbnoinvd, Feature::Monitor, Feature::Svm}) {
    features.reset(static_cast<size_t>(missing));
  }
  return features;
}

class DecoderAgainstHost : public testing::TestWithParam<CodeSize> {
 protected:
  void SetUp() override {
    if (!__builtin_cpu_is("amd") || !__builtin_cpu_supports("avx512f") || !probe_.usable()) {
      GTEST_SKIP() << "needs a Zen 4 or later, modify_ldt, and no ThreadSanitizer";
    }
  }

  void compare(const CaseBytes& bytes) {
    Instruction instruction;
    const bool valid = decode(bytes, GetParam(), features_, instruction) == Status::Ok;
    const HostProbe::Verdict host = probe_.ask(bytes, GetParam());
    if (host == HostProbe::Verdict{valid, instruction.length} || (!valid && !host.valid)) return;
    if (!valid && is_unmodelled(bytes, GetParam())) return;
    if (valid && !host.valid && std::ranges::count(kInvalidWhenExecuted, instruction.mnemonic) != 0) return;
    ADD_FAILURE() << fmt::format("{:02x}: decoder {} {}, host {} {}", fmt::join(bytes, " "),
                                 valid ? name(instruction.mnemonic) : "invalid", instruction.length,
                                 host.valid ? "valid" : "invalid", host.length);
  }

  HostProbe probe_;
  FeatureSet features_ = host_features();
};

TEST_P(DecoderAgainstHost, LegacyMaps) {
  unsigned count = 0;
  for_each_legacy_case(GetParam(), [&](const CaseBytes& bytes) {
    if (count++ % kLegacyStride == 0) compare(bytes);
  });
}

TEST_P(DecoderAgainstHost, VexMaps) {
  unsigned count = 0;
  for_each_vex_case([&](const CaseBytes& bytes) {
    if (count++ % kVexStride == 0) compare(bytes);
  });
}

TEST_P(DecoderAgainstHost, RandomBytes) {
  for_each_random_case(3'000, [&](const CaseBytes& bytes) { compare(bytes); });
}

INSTANTIATE_TEST_SUITE_P(CodeSizes, DecoderAgainstHost,
                         testing::Values(CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64), code_size_name);

}  // namespace
}  // namespace calco::decode
