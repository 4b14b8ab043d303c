#include "jit/runtime/x87_unit.h"

#include <array>
#include <cstring>

#include "cpu/exec/x87_state.h"

namespace calco::jit {

namespace {

using namespace cpu::x87_status;

constexpr size_t kRegisterBytes = 10;

// The 32-bit protected mode format of FNSAVE (SDM vol. 1, figure 8-9); the upper halves of the words are reserved.
struct [[gnu::packed]] Image {
  uint32_t control, status, tag;
  std::array<uint32_t, 4> pointers;
  std::array<std::array<uint8_t, kRegisterBytes>, 8> registers;  // ST(0) first
};
static_assert(sizeof(Image) == 108);

// Two bits for each register; what is not empty is said to be valid: FRSTOR looks for itself.
uint32_t tag_word(unsigned empty) {
  uint32_t word = 0;
  for (unsigned i = 0; i < 8; ++i) word |= (empty >> i & 1) * 3u << (2 * i);
  return word;
}
uint8_t empty_registers(uint32_t tag_word) {
  unsigned empty = 0;
  for (unsigned i = 0; i < 8; ++i) empty |= static_cast<unsigned>((tag_word >> (2 * i) & 3) == 3) << i;
  return static_cast<uint8_t>(empty);
}

// What the interpreter notes of each instruction (x87_record_instruction), of the last.
void record_last(cpu::CpuState& state) {
  const cpu::X87Residence& residence = state.x87_residence;
  cpu::X87State& x87 = state.x87;
  if (residence.last != cpu::X87Residence::kNone) {
    x87.instruction_pointer = residence.page + (residence.last & 0xFFFF);
    x87.opcode = static_cast<uint16_t>(residence.last >> 16);
    x87.code_selector = state.segments[cpu::kCs].selector;
  }
  if (residence.data_segment != cpu::kSegmentSlots) {
    x87.data_selector = state.segments[residence.data_segment].selector;
  }
}

}  // namespace

bool enter_x87(cpu::CpuState& state) {
  if (state.x87_residence.in_host) return true;
  const cpu::X87State& x87 = state.x87;
  if ((x87.control & kExceptions) != kExceptions || (x87.status & kErrorSummary) != 0) return false;
  Image image;
  image.control = x87.control;
  image.status = cpu::x87_status_word(x87);
  image.tag = tag_word(x87.empty);
  image.pointers = {};
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(image.registers[i].data(), &x87.physical[cpu::x87_physical(x87, i)], kRegisterBytes);
  }
  asm volatile("frstor %0" : : "m"(image));
  state.x87_residence.in_host = true;
  return true;
}

void leave_x87(cpu::CpuState& state) {
  Image image;
  asm volatile("fnsave %0" : "=m"(image));
  cpu::X87State& x87 = state.x87;
  x87.control = static_cast<uint16_t>(image.control);
  x87.status = static_cast<uint16_t>(image.status & ~uint32_t{kTop});
  x87.top = image.status >> kTopShift & 7;
  x87.empty = empty_registers(image.tag);
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(&x87.physical[cpu::x87_physical(x87, i)], image.registers[i].data(), kRegisterBytes);
  }
  record_last(state);
  // The page stays: a block stores it once, and may be called out of in between.
  state.x87_residence = {.page = state.x87_residence.page};
}

}  // namespace calco::jit
