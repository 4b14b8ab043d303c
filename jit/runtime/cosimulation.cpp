#include "jit/runtime/cosimulation.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "cpu/system/cpu_model.h"
#include "jit/opt/flags_at_target.h"
#include "machine/core/guest_memory.h"

namespace calco::jit {

using cpu::Cpu;
using cpu::CpuState;
using cpu::PieceEnd;
using cpu::StoreJournal;

namespace {

constexpr unsigned kAttempts = 8;
// Of loops in a region.
constexpr uint32_t kRounds = 7;
// More instructions than any piece has.
constexpr uint64_t kMaximumSteps = 20000;

// What execution may do a second time.
constexpr uint8_t kRepeatable = StoreJournal::kPageTables;

void save_bytes(PieceResult& result) {
  result.bytes.clear();
  for (const StoreJournal::Store& store : result.journal.stores()) {
    result.bytes.insert(result.bytes.end(), store.host, store.host + store.size);
  }
}

// Whether memory holds what the execution left there.
bool holds(const PieceResult& result) {
  const uint8_t* expected = result.bytes.data();
  for (const StoreJournal::Store& store : result.journal.stores()) {
    if (std::memcmp(store.host, expected, store.size) != 0) return false;
    expected += store.size;
  }
  return true;
}

// Whether code may leave the arithmetic flags as they come at its end, because the code there overwrites them first.
bool flags_dead_behind(const Cpu& cpu, const Translation& translation, uint64_t from, uint64_t to) {
  if ((from & kPageMask) != (to & kPageMask)) return false;
  const uint64_t offset = to & ~kPageMask;
  const uint8_t* page = cpu.environment().memory_map.memory().data() + (translation.memory_offset & kPageMask);
  return opt::flags_dead_at({page + offset, kPageSize - offset}, cpu.model().features());
}

}  // namespace

bool same_state(const CpuState& left, const CpuState& right, bool with_flags) {
  if (left.registers != right.registers) return false;
  if (with_flags && cpu::arithmetic_flags(left.flags) != cpu::arithmetic_flags(right.flags)) return false;
  constexpr size_t kRest = offsetof(CpuState, system_flags);
  const auto rest = [](const CpuState& state) { return reinterpret_cast<const char*>(&state) + kRest; };
  return std::memcmp(rest(left), rest(right), kComparedState - kRest) == 0;
}

// --- The three executions --------------------------------------------------------------------------------------------

namespace {

struct EnterContext {
  void (*enter)(CpuState* state, const void* code);
  const void* code;
};

void enter_code(Cpu& cpu, const void* context) {
  const auto& entry = *static_cast<const EnterContext*>(context);
  cpu.registers[cpu::kRip] &= kPageMask;
  entry.enter(&cpu, entry.code);
}

}  // namespace

void Cosimulation::run_translated(Cpu& cpu, const Translation& translation, PieceResult& result) {
  // Behind the question at the entry, which would answer that somebody wants the processor.
  const EnterContext context{enter_, translation.body};
  cpu.translation_exit_reason = static_cast<uint64_t>(ExitReason::Next);
  cpu.rounds_left = kRounds;
  result.end = cpu.run_piece(&enter_code, &context);
  cut_ = result.end.kind == PieceEnd::Kind::Left;
  if (cut_) {
    cpu.translation_exit_reason = static_cast<uint64_t>(ExitReason::Interpret);
    result.end = {};
  }
  result.state = cpu;
}

struct Cosimulation::Goal {
  const CpuState& state;
  const StoreJournal& journal;
  bool fault;
  bool with_flags;
  bool cut;
  uint64_t& steps;
  bool& shadow;
  bool& reached;
};

// Until the state is that of the translation's end; a fault ends it elsewhere.
void Cosimulation::interpret(Cpu& cpu, const Translation& translation) {
  const CpuState& state = translated_.state;
  const bool fault = translated_.end.kind == PieceEnd::Kind::Fault;
  const uint64_t begin = before_.registers[cpu::kRip], end = state.registers[cpu::kRip];
  with_flags_ = fault || !flags_dead_behind(cpu, translation, begin, end);
  const Goal goal{state, interpreted_.journal, fault, with_flags_, cut_, steps_, shadow_, agree_};
  const auto piece = [](Cpu& processor, const void* context) {
    const Goal& aim = *static_cast<const Goal*>(context);
    for (aim.steps = 0; aim.steps < kMaximumSteps; ++aim.steps) {
      if (aim.cut) {
        // STI in front of the cut relies on the instruction behind it, which is not of the piece now.
        aim.shadow = processor.interrupt_shadow;
        processor.interrupt_shadow = false;
      }
      if (!aim.fault && same_state(processor, aim.state, aim.with_flags)) {
        aim.reached = true;
        return;
      }
      if ((aim.journal.outside() & ~kRepeatable) != 0) return;
      processor.interpret_instruction();
    }
  };
  agree_ = false;
  interpreted_.end = cpu.run_piece(piece, &goal);
  interpreted_.state = cpu;
  if (fault) agree_ = interpreted_.end == translated_.end && same_state(interpreted_.state, state, true);
}

// True where the guest can go on: the piece was executed as it should be.
bool Cosimulation::run_once(Cpu& cpu, const Translation& translation) {
  translated_.journal.clear();
  cpu.set_journal(&translated_.journal);
  run_translated(cpu, translation, translated_);
  const bool hot = cpu.translation_exit_reason == static_cast<uint64_t>(ExitReason::Hot);
  if (hot || translated_.journal.outside() != 0) {
    cpu.set_journal(nullptr);
    count_outside(translated_.journal.outside());
    return true;
  }
  save_bytes(translated_);
  translated_.journal.undo();
  cpu.restore(before_);

  interpreted_.journal.clear();
  cpu.set_journal(&interpreted_.journal);
  interpret(cpu, translation);
  save_bytes(interpreted_);
  agree_ = agree_ && holds(translated_);
  interpreted_.journal.undo();
  cpu.restore(before_);
  cpu.set_journal(nullptr);
  way_ = "with its stores noted";
  if (!agree_) return false;
  leave_where_journaled_code_left(cpu);
  way_ = "as always";
  do {
    run_translated(cpu, translation, direct_);
  } while (cpu.translation_exit_reason == static_cast<uint64_t>(ExitReason::Hot));
  agree_ = direct_.end == translated_.end && same_state(direct_.state, translated_.state, with_flags_) &&
           holds(translated_) && holds(interpreted_);
  if (agree_) {
    if (cut_) cpu.interrupt_shadow = shadow_;
    ++counters.pieces;
    counters.instructions += steps_;
    counters.faults += direct_.end.kind == PieceEnd::Kind::Fault ? 1 : 0;
    return true;
  }
  direct_.journal = translated_.journal;
  save_bytes(direct_);
  translated_.journal.undo();
  interpreted_.journal.undo();
  cpu.restore(before_);
  know_pages(cpu);
  return false;
}

// Without the journal the TLB may know the page that the translation left for, or the second page of the instruction
// there: the third execution would go farther, and its stores could not be undone.
void Cosimulation::leave_where_journaled_code_left(Cpu& cpu) {
  const uint64_t page = translated_.state.registers[cpu::kRip] & kPageMask;
  for (const uint64_t linear : {page, page + kPageSize}) {
    cpu.set_journal(&translated_.journal);
    const bool known = cpu::tlb_entry(cpu.tlb, linear)->execute == linear;
    cpu.set_journal(nullptr);
    if (!known) cpu::tlb_entry(cpu.tlb, linear)->execute = cpu::TlbEntry{}.execute;
  }
}

// Translated code goes on in another page only where the TLB knows it as code, and the executions use different TLBs.
void Cosimulation::know_pages(Cpu& cpu) {
  const auto fetch = [](Cpu& processor, const void* linear) {
    processor.mmu().fetch_address(*static_cast<const uint64_t*>(linear));
  };
  const std::array<uint64_t, 3> places = {direct_.state.registers[cpu::kRip], translated_.state.registers[cpu::kRip],
                                          before_.registers[cpu::kRip] + kPageSize};
  for (StoreJournal* journal : {&translated_.journal, static_cast<StoreJournal*>(nullptr)}) {
    cpu.set_journal(journal);
    for (const uint64_t& place : places) {
      cpu.run_piece(fetch, &place);
      cpu.restore(before_);
    }
  }
}

void Cosimulation::run(Cpu& cpu, const Translation& translation) {
  before_ = cpu;
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    if (!run_once(cpu, translation)) continue;
    if (attempt != 0) ++counters.repeated;
    const PieceEnd& end = translated_.end;
    if (end.kind == PieceEnd::Kind::Fault) cpu.raise_again(end);
    return;
  }
  ++counters.disagreements;
  report_(cpu, {translation, before_, interpreted_, way_ == "as always" ? direct_ : translated_, way_, steps_});
  cpu.translation_exit_reason = static_cast<uint64_t>(ExitReason::Interpret);
}

void Cosimulation::count_outside(uint8_t outside) {
  if ((outside & StoreJournal::kDevice) != 0) {
    ++counters.devices;
  } else if ((outside & StoreJournal::kClock) != 0) {
    ++counters.clocks;
  } else if ((outside & StoreJournal::kSystem) != 0) {
    ++counters.system;
  } else if ((outside & StoreJournal::kCode) != 0) {
    ++counters.code;
  } else if ((outside & StoreJournal::kPageTables) != 0) {
    ++counters.page_tables;
  }
}

std::string Cosimulation::summary() const {
  return fmt::format(
      "co-simulation: {} pieces with {} instructions compared, {} of them ended by faults; {} disagreements\n"
      "not compared: {} with devices, {} with clocks, {} with system registers, {} that changed code, {} that changed "
      "page tables' bits; {} agreed only when repeated\n",
      counters.pieces, counters.instructions, counters.faults, counters.disagreements, counters.devices,
      counters.clocks, counters.system, counters.code, counters.page_tables, counters.repeated);
}

}  // namespace calco::jit
