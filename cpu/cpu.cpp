#include "cpu/cpu.h"

#include "cpu/exec/block_cache.h"
#include "cpu/exec/chain.h"
#include "cpu/exec/translation.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/debug.h"
#include "cpu/system/processor_group.h"
#include "cpu/system/register_dump.h"

namespace calco::cpu {

Cpu::Cpu(Environment environment)
    : environment_(std::move(environment)), mmu_(*this), blocks_(std::make_unique<BlockCache>(*this)) {
  jump_cache = blocks_->jump_cache();
  environment_.group.add(*this);
  reset();
}

Cpu::~Cpu() { environment_.group.remove(*this); }

// --- Requests --------------------------------------------------------------------------------------------------------

void Cpu::request(uint32_t bits) {
  exit_request.fetch_or(bits, std::memory_order_seq_cst);
  if (waker_) waker_();
}

void Cpu::set_interrupt_pending(bool pending) {
  interrupt_pending_.store(pending, std::memory_order_seq_cst);
  if (pending) request(request::kInterrupt);
}

// A start-up IPI that came before is void, one that comes after counts even where both wait at one boundary.
void Cpu::raise_init() {
  exit_request.fetch_and(~request::kStartUp);
  request(request::kInit);
}

void Cpu::start_up(uint8_t vector) {
  start_up_vector_.store(vector, std::memory_order_relaxed);
  request(request::kStartUp);
}

bool Cpu::has_work() const {
  const uint32_t requests = exit_request.load(std::memory_order_seq_cst);
  constexpr uint32_t kAlways = request::kStop | request::kInit | request::kReset | request::kFlushTlb;
  if ((requests & kAlways) != 0) return true;
  switch (activity) {
    case Activity::Running:
      return true;
    case Activity::Halted:
      return (requests & (request::kNmi | request::kSmi)) != 0 ||
             (interrupt_pending_.load(std::memory_order_seq_cst) && interrupts_enabled());
    case Activity::WaitForStartUp:
      return (requests & request::kStartUp) != 0;
    default:
      return false;
  }
}

void Cpu::state_replaced() {
  current_op = nullptr;
  if (!blocks_->empty()) blocks_->clear();
  smm_view_ = in_smm;
  mmu_.address_space_changed(false);
  mmu_.flush_all();
  recheck_interrupts();
}

// --- Faults ----------------------------------------------------------------------------------------------------------

uint64_t Cpu::instruction_pointer() const {
  return current_op != nullptr ? registers[kRip] + current_op->offset : registers[kRip];
}

uint64_t Cpu::next_instruction_pointer(const Op& op) const { return registers[kRip] + op.offset + op.length; }

void Cpu::raise_fault(Vector vector, bool has_error_code, uint32_t error_code) {
  registers[kRip] = instruction_pointer();
  if (current_op != nullptr) instructions_retired += current_op->instructions - (current_op->instructions != 0 ? 1 : 0);
  current_op = nullptr;
  if (deferred_state_.put != nullptr) {
    deferred_state_.put(*this, deferred_state_.table, deferred_state_.registers);
    deferred_state_ = {};
  }
  fault_ = {vector, has_error_code, error_code};
  std::longjmp(fault_return_, kLongjmpFault);
}

void Cpu::raise(Vector vector) { raise_fault(vector, false, 0); }
void Cpu::raise(Vector vector, uint32_t error_code) { raise_fault(vector, true, error_code); }
void Cpu::raise_page_fault(uint64_t linear, uint32_t error_code) {
  cr2 = linear;
  raise_fault(kPageFault, true, error_code);
}

bool Cpu::data_breakpoint_in(uint64_t linear_page) const {
  return data_breakpoint_in_page(*this, linear_page) || debugger_stops_.watches_page(linear_page);
}
void Cpu::report_data_access(uint64_t linear, unsigned size, bool write) {
  check_data_breakpoint(*this, linear, size, write);
  if (debugger_stops_.note_access(linear, size, write)) exit_request.fetch_or(request::kDebugger);
}

// --- Debugger --------------------------------------------------------------------------------------------------------

void Cpu::set_debugger_stops(DebuggerStops stops) {
  exit_request.fetch_and(~request::kDebugger);
  const bool watchpoints_change = stops.watchpoints != debugger_stops_.watchpoints;
  if (stops.breakpoints != debugger_stops_.breakpoints) blocks_->clear();  // they end elsewhere now
  debugger_stops_ = std::move(stops);
  if (watchpoints_change) mmu_.flush_all();  // pages change between fast and slow path
  mode_changed();
}

bool Cpu::stop_at_debugger_breakpoint() {
  const uint64_t rip = registers[kRip];
  if (!debugger_stops_.note_instruction(code_64() ? rip : static_cast<uint32_t>(segments[kCs].base + rip)))
    return false;
  exit_request.fetch_or(request::kDebugger);
  return true;
}

// --- Translation -----------------------------------------------------------------------------------------------------

void Cpu::set_translator(Translator* translator) {
  if (translator == translator_) return;
  translator_ = translator;
  blocks_->clear();  // those of the interpreter alone do not count
}

void Cpu::run_translation(const TranslatedCode& code) {
  // Translated code accumulates exceptions in MXCSR but raises none.
  constexpr uint32_t kAllMasked = 0x1F80;
  if ((mxcsr & kAllMasked) != kAllMasked) {
    interpret_next_ = true;
    return;
  }
  interpret_next_ = translator_->execute(*this, code) == TranslationExit::Interpret;
  if (registers[kRip] == shadowed_rip) interrupt_shadow = true;
  shadowed_rip = kNothingShadowed;
}

void Cpu::leave_translation() {
  current_op = nullptr;
  std::longjmp(fault_return_, kLongjmpLeave);
}

// --- Mode ------------------------------------------------------------------------------------------------------------

void Cpu::mode_changed() {
  const bool watched = !debugger_stops_.watchpoints.empty();
  const bool breakpoints = watched || data_breakpoints_enabled(*this);
  if (smm_view_ != in_smm || data_breakpoints_ != breakpoints) {
    // The TLB was filled under other rules. The flush calls back here, with nothing left to flush.
    smm_view_ = in_smm;
    data_breakpoints_ = breakpoints;
    mmu_.flush_all();
    return;
  }
  // A watchpoint stops right behind the instruction that met it.
  single_step_ = single_instructions_ || watched || single_step_needed(*this);
  if (single_step_) exit_request.fetch_or(request::kSingleStep, std::memory_order_relaxed);
  select_mode();
}

// Derives what execution keeps at hand: the TLB, the key of blocks, the tag of the jump cache.
void Cpu::select_mode() {
  tlb = mmu_.current_tlb();
  const Segment& code = segments[kCs];
  const bool single = single_step_ || interrupt_shadow || one_instruction_;
  const auto size = code_64()    ? decode::CodeSize::Bits64
                    : code.big() ? decode::CodeSize::Bits32
                                 : decode::CodeSize::Bits16;
  const bool vector = (cr0 & (cr0::kEm | cr0::kTs)) == 0 && (cr4 & cr4::kOsfxsr) != 0;
  const bool avx = (cr0 & cr0::kTs) == 0 && (cr4 & cr4::kOsxsave) != 0 && (xcr0 & 6) == 6;
  const bool real = !protected_mode() || virtual_8086();
  mode_key_ = static_cast<uint32_t>(size) | (single ? kModeSingle : 0) | (vector ? kModeVector : 0) |
              (avx ? kModeAvx : 0) | (real ? kModeReal : 0);
  const uint64_t view = mode_key_ | static_cast<uint64_t>(mmu_.current_protection()) << 6;
  if (code_64()) {
    jump_tags = {mmu_.fetch_generation() << 8 | view, mmu_.upper_fetch_generation() << 8 | view};
    return;
  }
  // Elsewhere RIP means something only together with the code segment: a new tag whenever one of them changes.
  const LegacyContext context{mmu_.fetch_generation(), view, code.base, code.limit};
  if (context != legacy_context_) {
    legacy_context_ = context;
    ++legacy_epoch_;
  }
  jump_tags.fill(uint64_t{1} << 63 | legacy_epoch_);
}

// --- Reset -----------------------------------------------------------------------------------------------------------

namespace {

Segment real_mode_segment(uint16_t selector, bool code) {
  Segment segment;
  segment.selector = selector;
  segment.base = uint64_t{selector} << 4;
  segment.limit = 0xFFFF;
  segment.attributes = Segment::kP | Segment::kS | (code ? 0xB : 0x3);
  return segment;
}

Segment system_segment(uint16_t type) {
  Segment segment;
  segment.limit = 0xFFFF;
  segment.attributes = static_cast<uint16_t>(Segment::kP | type);
  return segment;
}

}  // namespace

void Cpu::reset() {
  if (log().enabled(LogItem::Reset) && registers[kRip] != 0) {
    log().print(LogItem::Reset, "CPU {} is reset; it was\n{}", environment_.index, describe_registers(*this));
  }
  constexpr uint32_t kNotOfTheProcessor = request::kStop | request::kExclusive | request::kInvalidateCode;
  exit_request.fetch_and(kNotOfTheProcessor, std::memory_order_relaxed);
  reset_state();
}

// SDM vol. 3, table 10-1; what INIT leaves alone is saved around this common part by init().
void Cpu::reset_state() {
  static_cast<CpuState&>(*this) = CpuState{};
  for (unsigned segment = kEs; segment <= kGs; ++segment) segments[segment] = real_mode_segment(0, segment == kCs);
  segments[kCs].selector = 0xF000;
  segments[kCs].base = 0xFFFF0000;
  segments[kNoSegment].limit = 0xFFFFFFFF;
  ldtr = system_segment(2);
  tr = system_segment(0xB);
  gdtr.limit = idtr.limit = 0xFFFF;
  cr0 = cr0::kEt | cr0::kNw | cr0::kCd;
  dr[6] = dr6::kFixed;
  dr[7] = dr7::kFixed;
  registers[kRip] = 0xFFF0;
  registers[kRdx] = environment_.model.cpuid(1, 0, *this).eax;  // family, model, stepping
  x87.control = 0x0040;
  x87.empty = 0;
  machine_check[0] = 0;
  activity = environment_.index == 0 ? Activity::Running : Activity::WaitForStartUp;
  // The time-stamp counter goes on: the processors of a machine are not reset at one instant, but show one time.
  current_op = nullptr;
  mmu_.set_a20(true);
  mmu_.address_space_changed(false);
  mmu_.flush_all();
}

void Cpu::init() {
  const CpuState before = *this;
  reset_state();
  cr0 |= before.cr0 & (cr0::kCd | cr0::kNw);
  x87 = before.x87;
  vectors = before.vectors;
  mxcsr = before.mxcsr;
  xcr0 = before.xcr0;
  tsc_offset = before.tsc_offset;
  tsc_adjust = before.tsc_adjust;
  tsc_aux = before.tsc_aux;
  pat = before.pat;
  mtrr = before.mtrr;
  smbase = before.smbase;
  misc_enable = before.misc_enable;
  feature_control = before.feature_control;
  star = before.star;
  lstar = before.lstar;
  cstar = before.cstar;
  syscall_mask = before.syscall_mask;
  kernel_gs_base = before.kernel_gs_base;
  sysenter_cs = before.sysenter_cs;
  sysenter_esp = before.sysenter_esp;
  sysenter_eip = before.sysenter_eip;
  machine_check = before.machine_check;
  mode_changed();
}

}  // namespace calco::cpu
