// Translated code against the interpreter, step by step, while a guest runs (-d cosim).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/mmu/store_journal.h"
#include "jit/runtime/entries.h"
#include "jit/runtime/translation.h"

namespace calco::jit {

// One execution of a piece: what it left behind.
struct PieceResult {
  cpu::CpuState state;
  cpu::PieceEnd end;
  cpu::StoreJournal journal;
  std::vector<uint8_t> bytes;  // of the journal's stores, afterwards
};

// The same piece executed in two ways that do not agree.
struct Disagreement {
  const Translation& translation;
  const cpu::CpuState& before;
  const PieceResult& interpreted;
  const PieceResult& translated;
  std::string_view way;  // in which the translation executed
  uint64_t instructions;
};

// Executes each piece of translated code (from one boundary to the next, a block or a way through a region) three
// times:
//
// 1. translated, noting its stores so that they can be undone;
// 2. interpreted, until the state is the same, with the same precaution;
// 3. translated, as it always is; this is how the guest goes on.
//
// A piece that touches what cannot be done twice (devices, clocks, code, page tables' accessed and dirty bits) is not
// compared: its first execution counts. Devices and host threads change memory meanwhile, so three executions may
// differ by chance; only a difference that comes again and again is one. For machines with one processor.
//
// Threads: the vCPU's.
class Cosimulation {
 public:
  // `report` gets every disagreement; the guest goes on with the interpreter behind it.
  Cosimulation(const BaselineEntries& entries, std::function<void(cpu::Cpu&, const Disagreement&)> report)
      : enter_(entries.enter), report_(std::move(report)) {}

  // From within Translator::execute(), at the translation's RIP. Afterwards the state is whole, and the way out is in
  // the Cpu's translation_exit_... as the translation left it, or ExitReason::Interpret. Raises what the piece raises.
  void run(cpu::Cpu& cpu, const Translation& translation);

  struct Counters {
    uint64_t pieces = 0, instructions = 0, faults = 0;  // compared
    // Not compared, by reason. `repeated`: agreed only when tried again.
    uint64_t devices = 0, clocks = 0, code = 0, page_tables = 0, system = 0, repeated = 0;
    uint64_t disagreements = 0;
  } counters;
  std::string summary() const;

 private:
  struct Goal;
  bool run_once(cpu::Cpu& cpu, const Translation& translation);
  void run_translated(cpu::Cpu& cpu, const Translation& translation, PieceResult& result);
  void leave_where_journaled_code_left(cpu::Cpu& cpu);
  void know_pages(cpu::Cpu& cpu);
  void interpret(cpu::Cpu& cpu, const Translation& translation);
  void count_outside(uint8_t outside);

  void (*enter_)(cpu::CpuState* state, const void* code);
  const std::function<void(cpu::Cpu&, const Disagreement&)> report_;
  cpu::CpuState before_;
  PieceResult translated_, interpreted_, direct_;
  uint64_t steps_ = 0;
  bool with_flags_ = true;
  bool cut_ = false;     // the translation was left in front of an instruction that it would have executed
  bool shadow_ = false;  // whether the interpreter was in an interrupt shadow then
  bool agree_ = false;
  std::string_view way_;
};

// Bytes of the CpuState that count: what follows is padding.
constexpr size_t kComparedState = offsetof(cpu::CpuState, pending_debug_status) + sizeof(uint64_t);

// Whether nobody can tell the states apart; the arithmetic flags count where `with_flags`.
bool same_state(const cpu::CpuState& left, const cpu::CpuState& right, bool with_flags);

// The states side by side, and the memory that differs; lines that differ begin with a star.
std::string describe_disagreement(const Disagreement& disagreement, const GuestMemory& memory);

}  // namespace calco::jit
