#include "jit/runtime/helpers.h"

#include <cstring>

#include "cpu/mmu/paging.h"
#include "cpu/system/processor_group.h"
#include "jit/runtime/abi.h"

namespace calco::jit {

using cpu::Cpu;

namespace {

Cpu& processor(cpu::CpuState* state) { return *static_cast<Cpu*>(state); }

}  // namespace

uint64_t load_slowly(cpu::CpuState* state, uint64_t linear, uint32_t site) {
  Cpu& cpu = processor(state);
  ++cpu.translation_counters.slow_accesses;
  cpu.registers[cpu::kRip] += site_page_offset(site);
  const uint64_t value = cpu.mmu().load_slow(linear, site_size(site), cpu.mmu().current_protection(), site_stack(site));
  cpu.registers[cpu::kRip] -= site_page_offset(site);
  return value;
}

uint64_t store_slowly(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t value) {
  Cpu& cpu = processor(state);
  ++cpu.translation_counters.slow_accesses;
  const cpu::Protection protection = cpu.mmu().current_protection();
  cpu.registers[cpu::kRip] += site_page_offset(site);
  const bool changes_code = cpu.mmu().write_meets_code(linear, site_size(site), protection, site_stack(site));
  if (!changes_code) cpu.mmu().store_slow(linear, site_size(site), value, protection, site_stack(site));
  cpu.registers[cpu::kRip] -= site_page_offset(site);
  return changes_code ? 1 : 0;
}

// The bytes of two pages in one piece, good until the next call; null where one of them is not plain memory.
static uint8_t* read_across_pages(Cpu& cpu, uint64_t linear, unsigned size, cpu::Protection protection) {
  const auto in_first = static_cast<unsigned>(kPageSize - (linear & 0xFFF));
  const uint8_t* first = cpu.mmu().host_address(linear, in_first, cpu::Access::Read, protection);
  const uint8_t* second = cpu.mmu().host_address(linear + in_first, size - in_first, cpu::Access::Read, protection);
  if (first == nullptr || second == nullptr || size > cpu.read_across_pages.size()) return nullptr;
  std::memcpy(cpu.read_across_pages.data(), first, in_first);
  std::memcpy(cpu.read_across_pages.data() + in_first, second, size - in_first);
  return cpu.read_across_pages.data();
}

uint8_t* find_host_address(cpu::CpuState* state, uint64_t linear, uint32_t site) {
  Cpu& cpu = processor(state);
  ++cpu.translation_counters.slow_accesses;
  const unsigned size = site_size(site);
  const cpu::Protection protection = cpu.mmu().current_protection();
  const bool crosses = (linear & 0xFFF) + size > kPageSize;
  const bool misaligned = (site & kSiteAligned) != 0 && (linear & (size - 1)) != 0;
  const bool write = (site & kSiteWrite) != 0;
  if (misaligned || protection == cpu::Protection::UserAligned || !cpu::canonical(linear)) return nullptr;
  if (crosses && (write || !cpu::canonical(linear + size))) return nullptr;
  cpu.registers[cpu::kRip] += site_page_offset(site);
  uint8_t* host = nullptr;
  if (crosses) {
    host = read_across_pages(cpu, linear, size, protection);
  } else if (!write) {
    host = cpu.mmu().host_address(linear, size, cpu::Access::Read, protection);
  } else if (!cpu.mmu().write_meets_code(linear, size, protection, site_stack(site))) {
    host = cpu.mmu().host_address(linear, size, cpu::Access::Write, protection);
    // Another processor may translate code in the page before the write; the interpreter looks again behind it.
    const GuestMemory& memory = cpu.environment().memory_map.memory();
    const bool others = cpu.environment().group.processors().size() > 1;
    if (host != nullptr && others && memory.code_granules(memory.offset_of(host)) != 0) host = nullptr;
  }
  cpu.registers[cpu::kRip] -= site_page_offset(site);
  return host;
}

namespace {

// A fault has the state put in place. No object with a destructor: a fault is a longjmp.
void defer_state(cpu::CpuState* state, const StateTable* table, const HostRegisters* registers) {
  auto put = [](cpu::CpuState& to, const void* known_table, const void* known_registers) {
    put_state(&to, static_cast<const StateTable*>(known_table), static_cast<const HostRegisters*>(known_registers));
  };
  processor(state).set_deferred_state({put, table, registers});
}

template <typename Result>
Result done(cpu::CpuState* state, Result result) {
  processor(state).set_deferred_state({});
  return result;
}

}  // namespace

uint64_t load_for_region(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t, const StateTable* table,
                         const HostRegisters* registers) {
  defer_state(state, table, registers);
  return done(state, load_slowly(state, linear, site));
}

uint64_t store_for_region(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t value, const StateTable* table,
                          const HostRegisters* registers) {
  defer_state(state, table, registers);
  return done(state, store_slowly(state, linear, site, value));
}

uint8_t* find_host_address_for_region(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t,
                                      const StateTable* table, const HostRegisters* registers) {
  defer_state(state, table, registers);
  return done(state, find_host_address(state, linear, site));
}

void interpret(cpu::CpuState* state, const cpu::Op* op) {
  Cpu& cpu = processor(state);
  op->handler(&cpu, op, cpu.tlb);
  const cpu::Op* end = cpu.current_op;
  cpu.current_op = nullptr;
  if (end == nullptr) cpu.leave_translation();  // RIP is at the instruction already
  // The instruction may have changed the very code that called it.
  if ((cpu.exit_request.load(std::memory_order_relaxed) & cpu::request::kInvalidateCode) != 0) {
    cpu.registers[cpu::kRip] += end[-1].offset + end[-1].length;
    cpu.leave_translation();
  }
}

uint64_t interpret_at_end(cpu::CpuState* state, const cpu::Op* op) {
  Cpu& cpu = processor(state);
  if ((cpu.exit_request.load(std::memory_order_relaxed) & cpu::request::kPiece) != 0) [[unlikely]] {
    // Instructions that end blocks are not executed twice: the piece ends in front of this one.
    cpu.registers[cpu::kRip] += op->offset;
    cpu.leave_translation();
  }
  op->handler(&cpu, op, cpu.tlb);
  constexpr uint32_t kAllMasked = 0x1F80;
  const bool may_go_on = cpu.exit_request.load(std::memory_order_relaxed) == 0 &&
                         cpu.activity == cpu::Activity::Running && !cpu.interrupt_shadow &&
                         (cpu.mxcsr & kAllMasked) == kAllMasked;
  return may_go_on ? 1 : 0;
}

// One that is not through (a repeated string instruction that makes way for an interrupt) does not come here, but
// returns without a current operation.
CALCO_HANDLER_CONVENTION void stop(Cpu* cpu, const cpu::Op* op, cpu::TlbEntry*) { cpu->current_op = op; }

cpu::Op stop_operation() { return cpu::Op{.handler = &stop}; }

}  // namespace calco::jit
