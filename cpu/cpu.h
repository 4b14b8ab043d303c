// One x86-64 processor: its state, its address translation, and what it asks of the machine.
#pragma once

#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cpu/decode/instruction.h"
#include "cpu/exec/translation_counters.h"
#include "cpu/flags.h"
#include "cpu/mmu/store_journal.h"
#include "cpu/mmu/tlb.h"
#include "cpu/state.h"
#include "cpu/system/debugger_stops.h"
#include "cpu/system/event.h"
#include "machine/core/log.h"
#include "machine/core/memory_map.h"
#include "machine/core/port_bus.h"
#include "machine/core/processor_port.h"

namespace calco::cpu {

class BlockCache;
class CpuModel;
class ProcessorGroup;
struct ForeignComponents;
class Translator;
struct JumpCacheEntry;
struct Op;
struct TranslatedCode;

// What the machine gives a processor. Everything outlives it.
struct Environment {
  MemoryMap& memory_map;
  PortBus& ports;
  LocalApicPort& apic;
  Log& log;
  const CpuModel& model;
  ProcessorGroup& group;
  // The time-stamp counter that all processors share, in ticks of `tsc_frequency` Hz.
  std::function<uint64_t()> tsc;
  uint64_t tsc_frequency;
  // The processor asks for a machine reset (triple fault). May be called from execution; must only post a request.
  std::function<void()> triple_fault;
  unsigned index;  // 0 is the bootstrap processor
  // FERR# and IGNNE#, for CR0.NE clear: an unmasked x87 exception is pending and an instruction waits (true: raise
  // IRQ 13; answers whether IGNNE# lets the instruction go on), or none is pending any more (false). Where empty, #MF
  // is raised instead. May be called from execution.
  std::function<bool(bool pending)> x87_error = {};
  // Lists code for -d in_asm; may be empty.
  std::function<std::string(const uint8_t* bytes, size_t size, decode::CodeSize code_size, uint64_t address)>
      disassemble = {};
};

// Reasons to leave the chain of blocks at the next boundary.
namespace request {
constexpr uint32_t kInterrupt = 1u << 0, kNmi = 1u << 1, kSmi = 1u << 2, kInit = 1u << 3, kStartUp = 1u << 4,
                   kStop = 1u << 5,  // return to the machine
    kFlushTlb = 1u << 6,             // the memory map changed
    kInvalidateCode = 1u << 7,       // somebody wrote to code
    kExclusive = 1u << 8,            // another processor wants to be alone
    kSingleStep = 1u << 9,           // one instruction at a time (TF, breakpoints, interrupt shadow)
    kReset = 1u << 10,
                   kTrace = 1u << 11,  // every block is logged: none may chain to the next
    kDebugger = 1u << 12,              // a breakpoint or watchpoint of the debugger was hit
    kPiece = 1u << 13;                 // execution is compared piece by piece (Cpu::run_piece)
}  // namespace request

// Why run() returned to the machine.
enum class RunExit : uint8_t {
  Stopped,   // kStop was requested
  Halted,    // HLT or wait-for-SIPI: nothing to do until a pin changes
  Shutdown,  // triple fault; Environment::triple_fault was called
  Debugger,  // the debugger wanted a stop: debugger_stops().hit() says where, or its step is complete
};

// How a piece of execution ended (Cpu::run_piece).
struct PieceEnd {
  enum class Kind : uint8_t {
    Returned,
    Left,  // an instruction's function went back to the dispatch loop; RIP is exact
    Fault,
  };
  Kind kind = Kind::Returned;
  bool has_error_code = false;
  Vector vector = kDivideError;
  uint32_t error_code = 0;
  bool operator==(const PieceEnd&) const = default;
};

// Threads: everything but the ProcessorPins, request() and state of `pending` runs on the vCPU's own thread.
class Cpu : public CpuState, public ProcessorPins {
 public:
  explicit Cpu(Environment environment);
  ~Cpu() override;

  // Executes until the machine is needed. The architectural state is whole whenever this returns.
  RunExit run();
  // Executes at most `count` instructions, one block each; interrupts are taken as in run(). For tests and debuggers.
  RunExit run_instructions(uint64_t count);
  // For a debugger: executes one instruction (Debugger), or none where the machine is needed first. A running processor
  // takes no interrupt meanwhile, so that what follows is the instruction's successor.
  RunExit step_for_debugger();
  // Replaces what the debugger stops at, and forgets the last hit. Only while paused; any thread then.
  void set_debugger_stops(DebuggerStops stops);
  const DebuggerStops& debugger_stops() const { return debugger_stops_; }
  // RESET#: the state of SDM vol. 3, 10.1.1; the bootstrap processor at the reset vector, others waiting for SIPI.
  void reset();
  // INIT#: as reset(), but caches, FPU, MSRs of SDM vol. 3 table 10-1 stay.
  void init();
  // A boundary where the vCPU has something to do although it is halted. Any thread.
  bool has_work() const;

  // --- For an engine that executes this processor outside of Cpu (KVM)
  // ------------------------------------------------- The CpuState was replaced, or memory was written behind the back
  // of cached code and translations.
  void state_replaced();
  // As run_instructions(), but decodes every instruction anew and keeps nothing of it, so that it may be mixed with
  // stores that nobody reports. With `hold_events` no interrupt, NMI or SMI is taken.
  RunExit run_uncached(uint64_t count, bool hold_events);
  // Delivers an event that the other engine had chosen and not finished with.
  void deliver(const UndeliveredEvent& event);
  // State that only the other engine's processor knows and the XSAVE instructions must move nevertheless; null: none.
  // Outlives its use.
  ForeignComponents* foreign_components = nullptr;
  // Takes those requests of `bits` that are set, for an engine that serves them itself.
  uint32_t take_requests(uint32_t bits) { return exit_request.fetch_and(~bits) & bits; }
  // INTR.
  bool interrupt_pending() const { return interrupt_pending_.load(std::memory_order_seq_cst); }

  // --- Requests and pins (any thread) ----------------------------------------------------------------------------
  void request(uint32_t bits);
  void set_interrupt_pending(bool pending) override;
  void raise_nmi() override { request(request::kNmi); }
  void raise_smi() override { request(request::kSmi); }
  void raise_init() override;
  void start_up(uint8_t vector) override;
  // Called from request() so that a sleeping vCPU thread wakes. Set once by the machine.
  void set_waker(std::function<void()> waker) { waker_ = std::move(waker); }

  // --- For instructions --------------------------------------------------------------------------------------------
  Environment& environment() { return environment_; }
  const Environment& environment() const { return environment_; }
  Log& log() { return environment_.log; }
  const CpuModel& model() const { return environment_.model; }
  Mmu& mmu() { return mmu_; }
  BlockCache& blocks() { return *blocks_; }

  // Abandons the current instruction with an exception (fault): RIP stays at it. Does not return (longjmp: no object
  // with a destructor may live across a call that can fault).
  [[noreturn]] void raise(Vector vector);
  [[noreturn]] void raise(Vector vector, uint32_t error_code);
  [[noreturn]] void raise_page_fault(uint64_t linear, uint32_t error_code);
  // Address of the instruction that executes, and of the one after it.
  uint64_t instruction_pointer() const;
  uint64_t next_instruction_pointer(const Op& op) const;
  // The operation that executes; set by the handlers before anything that can fault.
  const Op* current_op = nullptr;
  // Delivery under way and what the last instruction means to debugging; both idle between instructions.
  EventDelivery delivery;
  InstructionTrace trace;

  bool long_mode_active() const { return (efer & efer::kLma) != 0; }
  bool code_64() const { return long_mode_active() && segments[kCs].long_mode(); }
  bool protected_mode() const { return (cr0 & cr0::kPe) != 0; }
  bool virtual_8086() const { return (system_flags & rflags::kVm) != 0; }
  bool interrupts_enabled() const { return (system_flags & rflags::kIf) != 0; }
  unsigned iopl() const { return static_cast<unsigned>(system_flags >> rflags::kIoplShift & 3); }
  // Operand size of stack accesses' pointer: 2, 4 or 8 bytes.
  unsigned stack_address_size() const { return code_64() ? 8 : (segments[kSs].big() ? 4 : 2); }
  uint64_t tsc() {
    note_outside(StoreJournal::kClock);
    return environment_.tsc() + tsc_offset;
  }
  // Linear addresses outside of 64-bit mode wrap at 4 GiB.
  uint64_t wrap_linear(uint64_t linear) const { return code_64() ? linear : static_cast<uint32_t>(linear); }

  // Data breakpoints (DR7): pages that hold one stay on the slow path, which reports each access here.
  bool has_data_breakpoint(uint64_t linear_page) const { return data_breakpoints_ && data_breakpoint_in(linear_page); }
  void note_data_access(uint64_t linear, unsigned size, bool write) {
    if (data_breakpoints_) [[unlikely]]
      report_data_access(linear, size, write);
  }

  // In front of an instruction: true where the debugger has a breakpoint at RIP; the processor then stops.
  bool stop_at_debugger_breakpoint();

  // Who translates hot blocks; null: the interpreter does all. Changes only while the processor is paused.
  void set_translator(Translator* translator);
  Translator* translator() const { return translator_; }
  // Whether blocks of the current mode may be translated: 64-bit code, and no debugger has breakpoints.
  bool translates() const { return translator_ != nullptr && code_64() && debugger_stops_.breakpoints.empty(); }
  // Runs translated code until it needs the dispatch loop.
  void run_translation(const TranslatedCode& code);
  // From within an instruction's function that translated code called: back to the dispatch loop, where execution goes
  // on at RIP. No fault. Nothing with a destructor may be on the stack.
  [[noreturn]] void leave_translation();

  // Guest state that a translation has not stored while it calls for a slow access: a fault has it put in place first.
  struct DeferredState {
    void (*put)(CpuState& state, const void* table, const void* registers) = nullptr;  // null: nothing is deferred
    const void* table = nullptr;
    const void* registers = nullptr;
  };
  void set_deferred_state(const DeferredState& deferred) { deferred_state_ = deferred; }
  // How often a piece (run_piece) may still go round a loop within translated code.
  uint32_t rounds_left = 0;
  // Why and through which link translated code came back (jit/runtime/abi.h).
  uint64_t translation_exit_reason = 0, translation_exit_link = 0;
  TranslationCounters translation_counters;
  // Where translated code finds an operand that lies in two pages.
  std::array<uint8_t, 64> read_across_pages{};
  // RIP of the instruction behind an STI of the translation that executes: where the interpreter gets it, no interrupt
  // comes in front of it.
  static constexpr uint64_t kNothingShadowed = ~uint64_t{0};
  uint64_t shadowed_rip = kNothingShadowed;

  // --- For co-simulation: the same piece of guest code several times over (jit/runtime/cosimulation.h) ---------------
  // From within Translator::execute(). Calls `piece`, on whose stack nothing with a destructor may live while guest
  // code runs, and holds on to a fault that it raises. Whatever asks at boundaries whether to go on is told not to.
  PieceEnd run_piece(void (*piece)(Cpu& cpu, const void* context), const void* context);
  // Within such a piece: the interpreter executes the instruction at RIP, and no more.
  void interpret_instruction();
  // Puts back the architectural state of an earlier moment, with no change of mode in between.
  void restore(const CpuState& state);
  // Stores are noted there from now on; null: no more.
  void set_journal(StoreJournal* journal);
  // What cannot be done twice is about to happen.
  void note_outside(StoreJournal::Outside what) {
    if (mmu_.journal() != nullptr) [[unlikely]]
      mmu_.journal()->note(what);
  }
  // Goes on with the fault that ended the last piece.
  [[noreturn]] void raise_again(const PieceEnd& end);

  // To be called after a change of what blocks depend on or the TLB was filled under: CPL, CR0, CR4, EFER, CS, SS
  // and the other segments' flatness, EFLAGS.AC/VM/TF/IF, SMM, debug registers. Cheap. Every function that changes one
  // of these ends its block.
  void mode_changed();
  // Interrupt flag or shadow changed: looks again for a pending interrupt at the next boundary. Where none is pending
  // nobody needs to look: the one that becomes pending asks itself.
  void recheck_interrupts() {
    if (interrupt_pending()) look_for_interrupts();
  }
  void look_for_interrupts() { exit_request.fetch_or(request::kInterrupt, std::memory_order_relaxed); }

  // What every block and every access reads, in host cache lines of their own.
  // Non-zero: leave the chain of blocks. Read with relaxed order at every block's end.
  alignas(128) std::atomic<uint32_t> exit_request{0};
  // TLB of the current privilege level, address space and SMAP state; passed along as the handlers' third argument.
  TlbEntry* tlb = nullptr;
  JumpCacheEntry* jump_cache = nullptr;
  // Of the lower and the upper half of the address space: what the upper half leads to is the same in all address
  // spaces where the guest maps its kernel with global pages.
  std::array<uint64_t, 2> jump_tags{};
  // Statistics; instructions are counted at the end of their block.
  alignas(128) uint64_t instructions_retired = 0;
  uint64_t blocks_entered = 0;

  // Key of blocks for the current mode (block_cache.h), the jump cache and the tag of its valid entries.
  uint32_t mode_key() const { return mode_key_; }
  uint64_t jump_tag(uint64_t rip) const { return jump_tags[rip >> 63]; }

 private:
  struct LegacyContext {
    uint64_t generation = 0, view = 0, base = 0;
    uint32_t limit = 0;
    bool operator==(const LegacyContext&) const = default;
  };
  struct Fault {
    Vector vector;
    bool has_error_code;
    uint32_t error_code;
  };

  [[noreturn]] void raise_fault(Vector vector, bool has_error_code, uint32_t error_code);
  void reset_state();
  RunExit dispatch(uint64_t step_limit);
  void step();
  void trace_block();
  bool handle_requests(RunExit& exit);
  void take_interrupt();
  void begin_at_start_up_vector();
  void select_mode();
  bool data_breakpoint_in(uint64_t linear_page) const;
  void report_data_access(uint64_t linear, unsigned size, bool write);

  // What longjmp() brings to the dispatch loop.
  static constexpr int kLongjmpFault = 1, kLongjmpLeave = 2;

  Environment environment_;
  Mmu mmu_;
  std::unique_ptr<BlockCache> blocks_;
  std::function<void()> waker_;
  std::atomic<bool> interrupt_pending_{false};
  std::atomic<uint8_t> start_up_vector_{0};
  std::jmp_buf fault_return_;
  Fault fault_{};
  uint32_t mode_key_ = 0;
  LegacyContext legacy_context_;
  uint64_t legacy_epoch_ = 0;
  uint64_t steps_left_ = 0;
  uint64_t flags_before_step_ = 0;
  std::optional<UndeliveredEvent> undelivered_;  // what dispatch() begins with
  DebuggerStops debugger_stops_;
  Translator* translator_ = nullptr;
  bool interpret_next_ = false;       // translated code left the instruction at RIP to the interpreter
  bool events_held_ = false;          // the debugger steps, or another engine asks for one instruction
  bool single_step_ = false;          // debugging needs blocks of one instruction
  bool single_instructions_ = false;  // run_instructions() does
  bool data_breakpoints_ = false;
  bool one_instruction_ = false;  // interpret_instruction() executes
  bool smm_view_ = false;         // the view of memory that the TLB was filled under
  DeferredState deferred_state_;
};

}  // namespace calco::cpu
