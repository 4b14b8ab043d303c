// The FXSAVE image, as tests hand it to the host and to the emulated processor.
#pragma once

#include <array>
#include <cstdint>

namespace calco::cpu::test {

// The FXSAVE64 layout (SDM vol. 1, table 10-2).
struct alignas(16) FxsaveImage {
  struct Register {
    uint64_t significand = 0;
    uint16_t sign_exponent = 0;
    uint16_t reserved[3] = {};
    bool operator==(const Register&) const = default;
  };
  uint16_t control = 0x037F;
  uint16_t status = 0;
  uint8_t valid = 0;
  uint8_t reserved = 0;
  uint16_t opcode = 0;
  uint64_t instruction_pointer = 0;
  uint64_t data_pointer = 0;
  uint32_t mxcsr = 0x1F80;
  uint32_t mxcsr_mask = 0;
  std::array<Register, 8> st;
  std::array<uint64_t, 32> xmm{};  // two for each register
  std::array<uint64_t, 12> unused{};
};
static_assert(sizeof(FxsaveImage) == 512);

}  // namespace calco::cpu::test
