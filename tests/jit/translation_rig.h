// A processor state, some memory behind a TLB, and a runtime around translated code, for tests of back ends.
#pragma once

#include <xbyak/xbyak.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "cpu/exec/op.h"
#include "cpu/flags.h"
#include "cpu/mmu/tlb.h"
#include "cpu/state.h"
#include "jit/runtime/abi.h"
#include "jit/runtime/state_table.h"

namespace calco::jit {

// Guest memory is what the slow paths, functions of the test, say; by default kMemorySize bytes at kMemory, which they
// also enter into the TLB. Code is entered with enter() and comes back through RuntimeEntries::exit or probe; link
// cells lead back too, and note their target.
class TranslationRig {
 public:
  static constexpr uint64_t kMemory = 0x7000'1234'5000;
  static constexpr uint64_t kMemorySize = 4 * 4096;
  static constexpr uint64_t kPageBase = 0xFFFF'8000'0040'0000;
  static constexpr uint64_t kNoReason = 99;
  static constexpr uint64_t kLink = 0x1'0000'0000;
  static constexpr uint64_t kProbe = 0x2'0000'0000;

  struct State {
    cpu::CpuState cpu;
    cpu::TlbEntry* tlb = nullptr;
    uint64_t exit_reason = 0;
    uint32_t exit_request = 0;
    uint32_t reserved = 0;
    uint64_t way_out = 0;  // 0: exit; kLink + target of the link; kProbe
    TranslationRig* rig = nullptr;
  };

  TranslationRig();
  TranslationRig(const TranslationRig&) = delete;
  TranslationRig& operator=(const TranslationRig&) = delete;

  static StateLayout layout();
  void** link_cell(int32_t target);
  void enter(const void* code);
  void flush() { tlb.fill({}); }

  bool left_to_interpreter() const {
    return state.way_out == 0 && state.exit_reason == static_cast<uint64_t>(ExitReason::Interpret);
  }
  uint64_t rip() const { return state.cpu.registers[cpu::kRip]; }
  // Where the code went on, counted from kPageBase.
  uint64_t offset() const { return rip() - kPageBase; }

  uint8_t* host(uint64_t linear) { return &memory[linear - kMemory]; }
  template <typename T>
  T read(uint64_t linear) {
    T value;
    std::memcpy(&value, host(linear), sizeof value);
    return value;
  }
  template <typename T>
  void write(uint64_t linear, T value) {
    std::memcpy(host(linear), &value, sizeof value);
  }

  State state;
  RuntimeEntries entries;
  std::array<cpu::TlbEntry, cpu::kTlbEntries> tlb;
  std::vector<uint8_t> memory = std::vector<uint8_t>(kMemorySize);
  bool fills_tlb = true;
  bool read_only = false;  // slow stores, and host addresses for writing, are refused
  unsigned slow_loads = 0, slow_stores = 0, slow_host_addresses = 0;
  uint32_t last_site = 0;
  cpu::CpuState at_slow_path;  // as the last of them saw it
  std::function<uint64_t(uint64_t linear, uint32_t site)> load;
  std::function<bool(uint64_t linear, uint32_t site, uint64_t value)> store;  // false: refused
  std::function<uint8_t*(uint64_t linear, uint32_t site)> host_address;
  std::function<void(cpu::CpuState& state, const cpu::Op& op)> interpret;

 private:
  static TranslationRig& rig_of(void* biased);
  static TranslationRig& rig_at_access(void* biased, const StateTable* table, const HostRegisters* registers);
  static uint64_t on_load(void* state, uint64_t linear, uint32_t site, uint64_t unused, const StateTable* table,
                          const HostRegisters* registers);
  static uint64_t on_store(void* state, uint64_t linear, uint32_t site, uint64_t value, const StateTable* table,
                           const HostRegisters* registers);
  static uint8_t* on_host_address(void* state, uint64_t linear, uint32_t site, uint64_t unused, const StateTable* table,
                                  const HostRegisters* registers);
  static void on_interpret(void* state, const cpu::Op* op);
  static uint64_t on_get_flags(void* state);

  void make_entries();
  void make_enter();
  const void* make_exit(uint64_t way_out, bool registers = true);
  const void* make_access(const void* function);
  const void* make_call(const void* function, bool has_result = true);
  Xbyak::Address at(size_t offset) {
    return assembler_.qword[assembler_.r13 + (static_cast<int>(offset) - kStateBias)];
  }
  void fill(uint64_t linear);

  Xbyak::CodeGenerator assembler_{64 << 10};
  void (*enter_)(const void* code, void* biased) = nullptr;
  std::map<int32_t, std::unique_ptr<void*>> cells_;
};

}  // namespace calco::jit
