// Tables of where the host has guest state.
#include "jit/runtime/state_table.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>

namespace calco::jit {
namespace {

using Kind = StateLocation::Kind;

int register_at(unsigned number) { return static_cast<int>(number) * 8; }

TEST(StateTable, EachPartComesFromItsPlace) {
  HostRegisters host{};
  host.general[3] = 0x3333;
  const std::array<uint64_t, 4> stack = {1, 2, 0x4444, 5};
  host.general[4] = reinterpret_cast<uintptr_t>(stack.data());
  host.vectors[5].fill(0x55);
  const int vector = offsetof(cpu::CpuState, vectors);
  const StateTable table{.entries = {
                             {register_at(cpu::kRbx), {.kind = Kind::General, .index = 3, .bytes = 8}},
                             {register_at(cpu::kRcx), {.kind = Kind::Memory, .index = 4, .bytes = 8, .offset = 16}},
                             {register_at(cpu::kRdx), {.kind = Kind::Constant, .bytes = 8, .value = 0x6666}},
                             {vector, {.kind = Kind::Vector, .index = 5, .bytes = 16}},
                         }};
  auto state = std::make_unique<cpu::CpuState>();
  put_state(state.get(), &table, &host);
  EXPECT_EQ(state->registers[cpu::kRbx], 0x3333u);
  EXPECT_EQ(state->registers[cpu::kRcx], 0x4444u);
  EXPECT_EQ(state->registers[cpu::kRdx], 0x6666u);
  std::array<uint8_t, 32> copied;
  std::memcpy(copied.data(), reinterpret_cast<const uint8_t*>(state.get()) + vector, copied.size());
  EXPECT_EQ(copied[15], 0x55);
  EXPECT_EQ(copied[16], 0);
}

TEST(StateTable, RipAdvancesFromThePageToTheInstruction) {
  const StateTable table{.entries = {}, .advance = 0x123};
  auto state = std::make_unique<cpu::CpuState>();
  state->registers[cpu::kRip] = 0x40'0000;
  put_state(state.get(), &table, nullptr);
  EXPECT_EQ(state->registers[cpu::kRip], 0x40'0123u);
}

TEST(StateTable, RipGoesBackToAPageBefore) {
  const StateTable table{.entries = {}, .advance = -0x20};
  auto state = std::make_unique<cpu::CpuState>();
  state->registers[cpu::kRip] = 0xFFFF'FFFF'8100'0000;
  put_state(state.get(), &table, nullptr);
  EXPECT_EQ(state->registers[cpu::kRip], 0xFFFF'FFFF'80FF'FFE0u);
}

}  // namespace
}  // namespace calco::jit
