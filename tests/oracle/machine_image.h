// The user-visible state of a processor before and after a test, in the layout that the host's own instructions load
// and store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace calco::oracle {

struct alignas(16) X87Slot {
  uint64_t significand = 0;
  uint16_t sign_exponent = 0;
  uint16_t reserved[3] = {};
};
union alignas(16) VectorSlot {
  std::array<uint64_t, 2> qwords;
  std::array<uint32_t, 4> dwords;
  std::array<uint8_t, 16> bytes;
};

// FXSAVE64 area (SDM vol. 1, table 10-2).
struct alignas(16) FxsaveArea {
  uint16_t control = 0x37F;
  uint16_t status = 0;  // with TOP
  uint8_t valid = 0;    // bit i: Ri is not empty
  uint8_t reserved0 = 0;
  uint16_t opcode = 0;
  uint64_t instruction_pointer = 0;
  uint64_t data_pointer = 0;
  uint32_t mxcsr = 0x1F80;
  uint32_t mxcsr_mask = 0;
  std::array<X87Slot, 8> st;  // ST(0) first
  std::array<VectorSlot, 16> xmm{};
  std::array<uint8_t, 96> reserved1{};
};
static_assert(sizeof(FxsaveArea) == 512);

struct alignas(64) MachineImage {
  std::array<uint64_t, 16> registers{};  // RSP is in the frame
  // The frame of IRETQ.
  uint64_t rip = 0, code_selector = 0x33, rflags = 0x202, rsp = 0, stack_selector = 0x2B;
  uint64_t fs_base = 0, gs_base = 0;
  std::array<uint16_t, 4> data_selectors{0x2B, 0x2B, 0, 0};  // DS, ES, FS, GS
  FxsaveArea fx;
  std::array<VectorSlot, 16> ymm_high{};  // bits 128-255 of the vector registers
};
static_assert(offsetof(MachineImage, rip) == 128 && offsetof(MachineImage, fs_base) == 168);
static_assert(offsetof(MachineImage, data_selectors) == 184 && offsetof(MachineImage, fx) == 192);
static_assert(offsetof(MachineImage, ymm_high) == 704 && sizeof(MachineImage) == 960);

// How a test ended.
struct Ending {
  static constexpr unsigned kThrough = 0x100;  // reached kExit
  static constexpr unsigned kLost = 0x101;     // did not end
  unsigned vector = kThrough;                  // or the exception's
  uint32_t error_code = 0;
  uint64_t address = 0;  // CR2 of a page fault
  bool operator==(const Ending&) const = default;
};

struct Outcome {
  MachineImage image;
  Ending ending;
};

}  // namespace calco::oracle
