// What x86-64 hosts have in assembly (jit/runtime/entries.cpp), in C++: the compiler's preserve_none convention puts
// the arguments below where abi.h wants them on every host.
#include "jit/runtime/entries.h"

#include <new>

#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"
#include "jit/portable/entry.h"
#include "jit/portable/route_stub.h"
#include "jit/runtime/helpers.h"
#include "jit/runtime/translation.h"
#include "jit/runtime/x87_unit.h"

namespace calco::jit {

namespace {

using cpu::Cpu;
using cpu::CpuState;

#define CALCO_TRANSLATED __attribute__((preserve_none))
#define CALCO_PRESERVING __attribute__((preserve_all))

// kArgumentRegisters, as parameters and as arguments.
#define CALCO_PARAMETERS                                                                                         \
  uint64_t rbx, char *state, uint64_t rbp, uint64_t rsp, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t rcx, \
      uint64_t r8, uint64_t r9, uint64_t r12, uint64_t rax
#define CALCO_ARGUMENTS rbx, state, rbp, rsp, rdi, rsi, rdx, rcx, r8, r9, r12, rax
#define CALCO_STORE_REGISTERS(to)    \
  do {                               \
    (to).registers[cpu::kRbx] = rbx; \
    (to).registers[cpu::kRbp] = rbp; \
    (to).registers[cpu::kRsp] = rsp; \
    (to).registers[cpu::kRdi] = rdi; \
    (to).registers[cpu::kRsi] = rsi; \
    (to).registers[cpu::kRdx] = rdx; \
    (to).registers[cpu::kRcx] = rcx; \
    (to).registers[cpu::kR8] = r8;   \
    (to).registers[cpu::kR9] = r9;   \
    (to).registers[cpu::kR12] = r12; \
    (to).registers[cpu::kRax] = rax; \
  } while (false)
#define CALCO_REGISTERS_OF(from, biased)                                                         \
  (from).registers[cpu::kRbx], biased, (from).registers[cpu::kRbp], (from).registers[cpu::kRsp], \
      (from).registers[cpu::kRdi], (from).registers[cpu::kRsi], (from).registers[cpu::kRdx],     \
      (from).registers[cpu::kRcx], (from).registers[cpu::kR8], (from).registers[cpu::kR9],       \
      (from).registers[cpu::kR12], (from).registers[cpu::kRax]

using Code = void(CALCO_TRANSLATED*)(CALCO_PARAMETERS);

CpuState* state_of(char* biased) { return reinterpret_cast<CpuState*>(biased - kStateBias); }
Cpu& processor(char* biased) { return *static_cast<Cpu*>(state_of(biased)); }
const void* address_of(Code code) { return reinterpret_cast<const void*>(code); }

void enter(CpuState* state, const void* code) {
  char* const biased = reinterpret_cast<char*>(state) + kStateBias;
  reinterpret_cast<Code>(const_cast<void*>(code))(CALCO_REGISTERS_OF(*state, biased));
}

CALCO_TRANSLATED void exit(CALCO_PARAMETERS) { CALCO_STORE_REGISTERS(*state_of(state)); }

void note_exit(Cpu& cpu, uint64_t rip_distance, ExitReason reason) {
  cpu.registers[cpu::kRip] += rip_distance;
  cpu.translation_exit_reason = static_cast<uint64_t>(reason);
}

// Where the jump cache has no translation. Never reached through probe(), which knows it by its address.
CALCO_TRANSLATED void no_code(CALCO_PARAMETERS) {
  note_exit(processor(state), 0, ExitReason::Next);
  [[clang::musttail]] return exit(CALCO_ARGUMENTS);
}

// Through the jump cache; RIP is exact.
CALCO_TRANSLATED void probe(CALCO_PARAMETERS) {
  Cpu& cpu = processor(state);
  const uint64_t rip = cpu.registers[cpu::kRip];
  const cpu::JumpCacheEntry& entry = cpu.jump_cache[cpu::BlockCache::jump_cache_index(rip)];
  if (entry.rip != rip || entry.tag != cpu.jump_tag(rip) || entry.code == address_of(&no_code)) {
    note_exit(cpu, 0, ExitReason::Next);
    [[clang::musttail]] return exit(CALCO_ARGUMENTS);
  }
  cpu.registers[cpu::kRip] = rip & kPageMask;
  [[clang::musttail]] return reinterpret_cast<Code>(const_cast<void*>(entry.code))(CALCO_ARGUMENTS);
}

// Entry::target.
CALCO_TRANSLATED void enter_region(CALCO_PARAMETERS) {
  Cpu& cpu = processor(state);
  const auto& entry = *reinterpret_cast<const Entry*>(cpu.translation_exit_link);
  const void* const code = __atomic_load_n(&entry.code, __ATOMIC_ACQUIRE);
  const bool wanted = cpu.exit_request.load(std::memory_order_relaxed) != 0;
  if (code == nullptr || wanted) {
    note_exit(cpu, entry.page_offset, wanted ? ExitReason::Next : ExitReason::Interpret);
    [[clang::musttail]] return exit(CALCO_ARGUMENTS);
  }
  [[clang::musttail]] return reinterpret_cast<Code>(const_cast<void*>(code))(CALCO_ARGUMENTS);
}

// In the code cache's data.
struct LinkRoute {
  Route route;  // the first member, as in Entry
  Link* link = nullptr;
};
CALCO_TRANSLATED void leave_through_link(CALCO_PARAMETERS) {
  Cpu& cpu = processor(state);
  Link* const link = reinterpret_cast<const LinkRoute*>(cpu.translation_exit_link)->link;
  cpu.translation_exit_link = reinterpret_cast<uintptr_t>(link);
  note_exit(cpu, link->target, ExitReason::Link);
  [[clang::musttail]] return exit(CALCO_ARGUMENTS);
}

template <bool kJumpCache>
CALCO_TRANSLATED void interpret_last(CALCO_PARAMETERS) {
  Cpu& cpu = processor(state);
  CALCO_STORE_REGISTERS(cpu);
  if (jit::interpret_at_end(&cpu, reinterpret_cast<const cpu::Op*>(cpu.translation_exit_link)) == 0 || !kJumpCache) {
    note_exit(cpu, 0, ExitReason::Next);
    return;
  }
  [[clang::musttail]] return probe(CALCO_REGISTERS_OF(cpu, state));
}

// The state is whole: this host has no state tables.
CALCO_PRESERVING uint64_t load(char* state, uint64_t linear, uint32_t site, uint64_t, const StateTable*) {
  return load_slowly(state_of(state), linear, site);
}
CALCO_PRESERVING uint64_t store(char* state, uint64_t linear, uint32_t site, uint64_t value, const StateTable*) {
  return store_slowly(state_of(state), linear, site, value);
}
CALCO_PRESERVING uint8_t* host_address(char* state, uint64_t linear, uint32_t site, uint64_t, const StateTable*) {
  return find_host_address(state_of(state), linear, site);
}
CALCO_PRESERVING void interpret_operation(char* state, const cpu::Op* op) { jit::interpret(state_of(state), op); }
CALCO_PRESERVING uint64_t get_flags(char* state) { return cpu::arithmetic_flags(state_of(state)->flags); }
CALCO_PRESERVING uint64_t enter_x87_unit(char* state) { return enter_x87(*state_of(state)) ? 1 : 0; }

template <typename Function>
const void* code_of(Function* function) {
  return reinterpret_cast<const void*>(function);
}

}  // namespace

bool make_entry(CodeCache& cache, Translation& translation, int exit_link_offset) {
  auto* const data = cache.allocate_data(sizeof(Entry));
  if (data == nullptr) return false;
  auto* const entry = new (data) Entry;
  entry->route.target = address_of(&enter_region);
  entry->page_offset = translation.memory_offset & ~kPageMask;
  entry->exit_link_offset = exit_link_offset;
  const uint8_t* const stub = emit_route_stub(cache, entry->route, exit_link_offset);
  if (stub == nullptr) return false;
  translation.entry = stub;
  translation.countdown = &entry->countdown;
  translation.better_code = &entry->code;
  return true;
}

const uint8_t* emit_link_stub(CodeCache& cache, const BaselineEntries& entries, Link& link) {
  auto* const data = cache.allocate_data(sizeof(LinkRoute));
  if (data == nullptr) return nullptr;
  auto* const route = new (data) LinkRoute;
  route->route.target = address_of(&leave_through_link);
  route->link = &link;
  return emit_route_stub(cache, route->route, entries.exit_link_offset);
}

Entries make_entries(CodeCache&, const StateLayout& layout, bool jump_cache) {
  Entries entries;
  entries.baseline.enter = &enter;
  entries.baseline.no_code = static_cast<const uint8_t*>(address_of(&no_code));
  entries.baseline.exit_link_offset = layout.exit_link;
  entries.shared.exit = address_of(&exit);
  entries.shared.probe = address_of(jump_cache ? &probe : &no_code);
  entries.shared.interpret_at_end = address_of(jump_cache ? &interpret_last<true> : &interpret_last<false>);
  entries.shared.load = code_of(&load);
  entries.shared.store = code_of(&store);
  entries.shared.host_address = code_of(&host_address);
  entries.shared.interpret = code_of(&interpret_operation);
  entries.shared.get_flags = code_of(&get_flags);
  entries.shared.enter_x87 = code_of(&enter_x87_unit);
  return entries;
}

}  // namespace calco::jit
