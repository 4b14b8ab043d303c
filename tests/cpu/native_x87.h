// Runs single x87 instructions on the host, from and to an FXSAVE image: the oracle of the x87 tests.
#pragma once

#include <array>
#include <cstdint>
#include <span>

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
  std::array<uint64_t, 2 * 16> xmm{};
  std::array<uint64_t, 12> unused{};
};
static_assert(sizeof(FxsaveImage) == 512);

// What an instruction sees and leaves. A memory operand is [RSI], which points at `memory`.
struct FloatMachine {
  FxsaveImage image;
  alignas(64) std::array<uint8_t, 1024> memory{};
  uint64_t flags = 0x202;
  uint64_t rax = 0;
};

class NativeX87 {
 public:
  NativeX87();
  ~NativeX87();
  NativeX87(const NativeX87&) = delete;
  NativeX87& operator=(const NativeX87&) = delete;

  // Executes `instruction`. No exception may be pending in the image.
  void run(std::span<const uint8_t> instruction, FloatMachine& machine);
  // Address at which the last instruction stood.
  uint64_t instruction_address() const { return instruction_address_; }

 private:
  uint8_t* page_;
  uint64_t instruction_address_ = 0;
};

}  // namespace calco::cpu::test
