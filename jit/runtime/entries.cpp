#include "jit/runtime/entries.h"

#include <xbyak/xbyak.h>
#include <xbyak/xbyak_util.h>

#include <cassert>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <span>

#include "cpu/exec/block_cache.h"
#include "cpu/flags.h"
#include "jit/runtime/helpers.h"
#include "jit/runtime/host_registers.h"
#include "jit/runtime/quick_paths.h"
#include "jit/runtime/register_frame.h"
#include "jit/runtime/translation.h"
#include "jit/runtime/x87_unit.h"

namespace calco::jit {

namespace {

constexpr size_t kEntriesBytes = 8192;
constexpr int kRipOffset = cpu::kRip * 8;
constexpr int kMxcsrOffset = offsetof(cpu::CpuState, mxcsr);
constexpr int kX87InHostOffset = offsetof(cpu::CpuState, x87_residence) + offsetof(cpu::X87Residence, in_host);
constexpr int kFlagsOffset = offsetof(cpu::CpuState, flags);
constexpr uint32_t kHostMxcsr = 0x1F80;

// Emitted at the cache's writable view; all addresses are relative, so the executable view is the same code.
class EntriesGenerator : public Xbyak::CodeGenerator {
 public:
  EntriesGenerator(CodeCache& cache, const StateLayout& layout, bool jump_cache)
      : CodeGenerator(kEntriesBytes, cache.allocate_code(kEntriesBytes)),
        cache_(cache),
        layout_(layout),
        jump_cache_(jump_cache) {}

  Entries generate() {
    Entries entries;
    BaselineEntries& baseline = entries.baseline;
    align(8);
    L(host_mxcsr_);
    dd(kHostMxcsr);

    baseline.enter = reinterpret_cast<void (*)(cpu::CpuState*, const void*)>(reinterpret_cast<uintptr_t>(begin()));
    emit_enter();
    const uint8_t* exit = begin();
    L(exit_label_);
    emit_exit();
    entries.shared.exit_stored = begin();
    emit_exit_stored();
    baseline.exit_next = begin();
    emit_exit_with(ExitReason::Next, false);
    baseline.exit_interpret = begin();
    emit_exit_with(ExitReason::Interpret, false);
    baseline.exit_link = begin();
    emit_exit_with(ExitReason::Link, true);
    baseline.exit_hot = begin();
    emit_exit_with(ExitReason::Hot, true);
    baseline.no_code = begin();
    emit_missed_probe();
    const uint8_t* probe_in_state = begin();
    mov(r10, ptr[host::state(kRipOffset)]);
    baseline.probe = begin_unaligned();
    jump_cache_ ? emit_probe() : emit_missed_probe();

    baseline.interpret_at_end = begin();
    emit_interpret_at_end(probe_in_state);
    entries.shared.interpret_at_end = baseline.interpret_at_end;

    baseline.load = begin();
    emit_quick_baseline_call(reinterpret_cast<const void*>(&load_quickly), Quick::Value);
    emit_baseline_call(reinterpret_cast<const void*>(&load_slowly), kKeepsRegisters);
    baseline.store = begin();
    emit_quick_baseline_call(reinterpret_cast<const void*>(&store_quickly), Quick::Done);
    emit_baseline_call(reinterpret_cast<const void*>(&store_slowly), kKeepsRegisters);
    baseline.host_address = begin();
    emit_quick_baseline_call(reinterpret_cast<const void*>(&find_host_address_quickly), Quick::Address);
    emit_baseline_call(reinterpret_cast<const void*>(&find_host_address), kKeepsRegisters);
    baseline.interpret = begin();
    emit_quick_interpretation();
    emit_baseline_call(reinterpret_cast<const void*>(&interpret_slot), kChangesRegisters | kStored);
    baseline.flags = begin();
    emit_baseline_flags();
    baseline.enter_x87 = begin();
    emit_baseline_call(reinterpret_cast<const void*>(&enter_x87_slot), kKeepsRegisters | kKeepsX87);

    entries.shared.exit = exit;
    entries.shared.probe = probe_in_state;
    entries.shared.load = begin();
    emit_quick_call(reinterpret_cast<const void*>(&load_quickly), Quick::Value);
    emit_access(reinterpret_cast<const void*>(&load_for_region));
    entries.shared.store = begin();
    emit_quick_call(reinterpret_cast<const void*>(&store_quickly), Quick::Done);
    emit_access(reinterpret_cast<const void*>(&store_for_region));
    entries.shared.host_address = begin();
    emit_quick_call(reinterpret_cast<const void*>(&find_host_address_quickly), Quick::Address);
    emit_access(reinterpret_cast<const void*>(&find_host_address_for_region));
    entries.shared.interpret = begin();
    emit_quick_call(reinterpret_cast<const void*>(&interpret_quickly), Quick::NoResult);
    emit_preserving_call(reinterpret_cast<const void*>(&jit::interpret), 0);
    entries.shared.get_flags = begin();
    emit_quick_function(reinterpret_cast<const void*>(&compute_flags));
    entries.shared.enter_x87 = begin();
    emit_preserving_call(reinterpret_cast<const void*>(&enter_x87_slot), kHasResult | kKeepsX87);
    entries.shared.put_state = begin();
    emit_put_state(*this, has_avx_);
    cache_.trim(const_cast<uint8_t*>(getCurr()));
    return entries;
  }

 private:
  // What a function that is called needs of its surroundings.
  enum Call : unsigned {
    kKeepsRegisters = 0,    // baseline: guest registers stay as they are
    kChangesRegisters = 1,  // baseline
    kHasResult = 2,         // preserve_allcc
    kStored = 8,            // baseline: guest registers are in the state already
    kKeepsX87 = 4,          // has nothing to do with x87 registers, be they the guest's or the host's
  };

  // What a quick function's answer, where it is not null, means for who asked.
  enum class Quick : uint8_t { Value, Address, Done, NoResult };

  static uint64_t enter_x87_slot(cpu::CpuState* state) { return enter_x87(*state) ? 1 : 0; }
  static uint64_t interpret_slot(cpu::CpuState* state, uint64_t, const cpu::Op* op) {
    jit::interpret(state, op);
    return 0;
  }

  // Starts a piece; its executable address.
  const uint8_t* begin() {
    align(16);
    return begin_unaligned();
  }
  const uint8_t* begin_unaligned() const { return cache_.executable(getCurr()); }

  void push_all(std::span<const Xbyak::Reg64> registers) {
    for (const Xbyak::Reg64& reg : registers) push(reg);
  }
  void pop_all(std::span<const Xbyak::Reg64> registers) {
    for (auto reg = registers.rbegin(); reg != registers.rend(); ++reg) pop(*reg);
  }
  void store_pinned() {
    for (unsigned number = 0; number < 16; ++number) {
      if (host::kPinned[number] != host::kNotPinned) {
        mov(ptr[host::guest_register(number)], Xbyak::Reg64(host::kPinned[number]));
      }
    }
  }
  void load_pinned() {
    for (unsigned number = 0; number < 16; ++number) {
      if (host::kPinned[number] != host::kNotPinned) {
        mov(Xbyak::Reg64(host::kPinned[number]), ptr[host::guest_register(number)]);
      }
    }
  }
  void enter_host_mxcsr() {
    stmxcsr(ptr[host::state(kMxcsrOffset)]);
    ldmxcsr(ptr[rip + host_mxcsr_]);
  }
  // The guest's x87 registers to the state, if they are in the host's unit. Calls C++: `kept` survive, and as many
  // pushes of 8 bytes leave rsp a multiple of 16.
  void take_x87_back(const Xbyak::Reg64& biased_state, std::initializer_list<Xbyak::Reg64> kept = {}) {
    Xbyak::Label at_home;
    cmp(byte[biased_state + (kX87InHostOffset - kStateBias)], 0);
    je(at_home, T_NEAR);
    for (const Xbyak::Reg64& reg : kept) push(reg);
    lea(rdi, ptr[biased_state - kStateBias]);
    mov(rax, reinterpret_cast<uint64_t>(&leave_x87));
    call(rax);
    for (auto reg = std::rbegin(kept); reg != std::rend(kept); ++reg) pop(*reg);
    L(at_home);
  }
  void enter_guest_mxcsr() { ldmxcsr(ptr[host::state(kMxcsrOffset)]); }

  void emit_enter() {
    push(rbx);
    push(rbp);
    push(r12);
    push(r13);
    push(r14);
    push(r15);
    sub(rsp, kFrameBytes + 8);
    lea(r13, ptr[rdi + kStateBias]);
    mov(rbx, rsi);
    enter_guest_mxcsr();
    load_pinned();
    call(rbx);
    add(rsp, kFrameBytes + 8);
    pop(r15);
    pop(r14);
    pop(r13);
    pop(r12);
    pop(rbp);
    pop(rbx);
    ret();
  }

  void emit_exit() {
    store_pinned();
    emit_exit_stored();
  }
  void emit_exit_stored() {
    enter_host_mxcsr();
    take_x87_back(r13, {r10});
    ret();
  }

  void emit_exit_with(ExitReason reason, bool link) {
    if (link) mov(ptr[host::state(layout_.exit_link)], r10);
    mov(qword[host::state(layout_.exit_reason)], static_cast<uint32_t>(reason));
    jmp(exit_label_, T_NEAR);
  }

  void emit_probe() {
    static_assert(sizeof(cpu::JumpCacheEntry) == 32);
    Xbyak::Label miss;
    mov(rbx, r10);
    shr(rbx, cpu::kJumpCacheBits);
    xor_(rbx, r10);
    and_(ebx, (1 << cpu::kJumpCacheBits) - 1);
    shl(ebx, 5);
    add(rbx, ptr[host::state(layout_.jump_cache)]);
    cmp(ptr[rbx + offsetof(cpu::JumpCacheEntry, rip)], r10);
    jne(miss);
    mov(rbp, r10);
    shr(rbp, 63);
    mov(rbp, ptr[host::state(layout_.jump_tags) + rbp * 8]);
    cmp(rbp, ptr[rbx + offsetof(cpu::JumpCacheEntry, tag)]);
    jne(miss);
    mov(rbp, r10);
    and_(rbp, -4096);
    mov(ptr[host::state(kRipOffset)], rbp);
    jmp(ptr[rbx + offsetof(cpu::JumpCacheEntry, code)]);
    L(miss);
    emit_missed_probe();
  }

  void emit_missed_probe() {
    mov(ptr[host::state(kRipOffset)], r10);
    emit_exit_with(ExitReason::Next, false);
  }

  void emit_interpret_at_end(const uint8_t* probe_in_state) {
    Xbyak::Label leave;
    store_pinned();
    if (has_avx_) vzeroupper();
    enter_host_mxcsr();
    push(r10);
    take_x87_back(r13);
    lea(rdi, ptr[r13 - kStateBias]);
    mov(rsi, ptr[host::state(layout_.exit_link)]);
    mov(rax, reinterpret_cast<uint64_t>(&jit::interpret_at_end));
    call(rax);
    pop(r10);
    test(eax, eax);
    jz(leave);
    enter_guest_mxcsr();
    load_pinned();
    jmp(cache_.writable(probe_in_state), T_NEAR);
    L(leave);
    // The state is whole and the host's MXCSR loaded already.
    mov(qword[host::state(layout_.exit_reason)], static_cast<uint32_t>(ExitReason::Next));
    ret();
  }

  // From translated code to C++ and back; see BaselineEntries. The return address and two pushes lie between rsp and
  // the frame.
  void emit_baseline_call(const void* function, unsigned how) {
    constexpr int kPushed = 24;
    if ((how & kStored) == 0) store_pinned();
    push(r10);
    push(r10);
    if (has_avx_) vzeroupper();
    enter_host_mxcsr();
    if ((how & kKeepsX87) == 0) take_x87_back(r13);
    lea(rdi, ptr[r13 - kStateBias]);
    mov(rsi, ptr[rsp + kPushed + frame_slot(0)]);
    mov(rdx, ptr[rsp + kPushed + frame_slot(1)]);
    mov(rcx, ptr[rsp + kPushed + frame_slot(2)]);
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    mov(ptr[rsp + kPushed + frame_slot(0)], rax);
    enter_guest_mxcsr();
    if ((how & kChangesRegisters) != 0) {
      load_pinned();
    } else {
      for (const unsigned number :
           {cpu::kRax, cpu::kRcx, cpu::kRdx, cpu::kRsi, cpu::kRdi, cpu::kR8, cpu::kR9, cpu::kR12}) {
        mov(Xbyak::Reg64(host::kPinned[number]), ptr[host::guest_register(number)]);
      }
    }
    pop(r10);
    pop(r10);
    ret();
  }

  void finish_quickly(Quick answer) {
    if (answer == Quick::Value) mov(rax, ptr[rax]);
    if (answer == Quick::Done) xor_(eax, eax);
  }

  // In front of emit_baseline_call(): returns where quick_paths.h can do it. An even number of pushes keeps rsp a
  // multiple of 16.
  void emit_quick_baseline_call(const void* function, Quick answer) {
    const std::array<Xbyak::Reg64, 6> saved = {rax, rcx, rdx, rsi, rdi, r11};
    constexpr int kPushed = 8 * static_cast<int>(saved.size()) + 8;
    Xbyak::Label slow;
    push_all(saved);
    lea(rdi, ptr[r13 - kStateBias]);
    mov(rsi, ptr[rsp + kPushed + frame_slot(0)]);
    mov(rdx, ptr[rsp + kPushed + frame_slot(1)]);
    mov(rcx, ptr[rsp + kPushed + frame_slot(2)]);
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    test(rax, rax);
    jz(slow);
    finish_quickly(answer);
    mov(ptr[rsp + kPushed + frame_slot(0)], rax);
    pop_all(saved);
    ret();
    L(slow);
    pop_all(saved);
  }

  // The same for operations: what they read must be in the state, and what they write is there.
  void emit_quick_interpretation() {
    constexpr int kPushed = 24;
    Xbyak::Label slow;
    store_pinned();
    push(r10);
    push(r10);
    lea(rdi, ptr[r13 - kStateBias]);
    mov(rsi, ptr[rsp + kPushed + frame_slot(1)]);
    mov(rax, reinterpret_cast<uint64_t>(&interpret_quickly));
    call(rax);
    pop(r10);
    pop(r10);
    test(rax, rax);
    jz(slow);
    load_pinned();
    ret();
    L(slow);
  }

  // In front of emit_access() and emit_preserving_call(), likewise.
  void emit_quick_call(const void* function, Quick answer) {
    Xbyak::Label slow;
    // A state table may name any register.
    push(r11);
    push(r11);
    push(rax);
    sub(rdi, kStateBias);
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    add(rdi, kStateBias);
    test(rax, rax);
    jz(slow);
    if (answer == Quick::NoResult) mov(rax, ptr[rsp]);
    finish_quickly(answer);
    add(rsp, 24);
    ret();
    L(slow);
    pop(rax);
    pop(r11);
    pop(r11);
  }

  void emit_baseline_flags() {
    const std::array<Xbyak::Reg64, 4> saved = {rax, rdi, r11, r11};
    constexpr int kPushed = 8 * static_cast<int>(saved.size()) + 8;
    constexpr uint32_t kExplicit = cpu::flag_kind(cpu::FlagKind::Explicit, 3);
    Xbyak::Label others;
    cmp(dword[host::state(kFlagsOffset + static_cast<int>(offsetof(cpu::LazyFlags, kind)))], kExplicit);
    jne(others);
    push(rax);
    mov(rax, ptr[host::state(kFlagsOffset + static_cast<int>(offsetof(cpu::LazyFlags, first)))]);
    mov(ptr[rsp + 16 + frame_slot(0)], rax);
    pop(rax);
    ret();
    L(others);
    push_all(saved);
    lea(rdi, ptr[r13 - kStateBias]);
    mov(rax, reinterpret_cast<uint64_t>(&compute_flags));
    call(rax);
    mov(ptr[rsp + kPushed + frame_slot(0)], rax);
    pop_all(saved);
    ret();
  }

  // The same convention; always answers.
  void emit_quick_function(const void* function) {
    push(rdi);
    sub(rdi, kStateBias);
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    pop(rdi);
    ret();
  }

  // Accesses of regions (RuntimeEntries::load). The C++ function gets the registers' place as its sixth argument.
  void emit_access(const void* function) {
    RegisterFrame frame(*this, has_avx_);
    frame.save();
    stmxcsr(ptr[rdi + (kMxcsrOffset - kStateBias)]);
    ldmxcsr(ptr[rip + host_mxcsr_]);
    mov(r9, rsp);
    take_x87_back(rdi, {rdi, rsi, rdx, rcx, r8, r9});
    sub(rdi, kStateBias);
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    mov(frame.general(rax.getIdx()), rax);
    mov(rdi, frame.general(rdi.getIdx()));
    ldmxcsr(ptr[rdi + (kMxcsrOffset - kStateBias)]);
    frame.restore();
    ret();
  }

  // The preserve_allcc convention: everything but r11 and the result, if there is one, is kept. First argument: the
  // state pointer.
  void emit_preserving_call(const void* function, unsigned how) {
    const std::array<Xbyak::Reg64, 7> saved = {rcx, rdx, rsi, rdi, r8, r9, r10};
    constexpr int kVectorBytes = 32;
    push_all(saved);
    sub(rsp, 16 * kVectorBytes);
    for (int i = 0; i < 16; ++i) {
      if (has_avx_) {
        vmovups(ptr[rsp + i * kVectorBytes], Xbyak::Ymm(i));
      } else {
        movups(ptr[rsp + i * kVectorBytes], Xbyak::Xmm(i));
      }
    }
    if (has_avx_) vzeroupper();
    push(rax);
    push(rdi);
    stmxcsr(ptr[rdi + (kMxcsrOffset - kStateBias)]);
    ldmxcsr(ptr[rip + host_mxcsr_]);
    if ((how & kKeepsX87) == 0) take_x87_back(rdi, {rdi, rsi, rdx, rcx});
    sub(rdi, kStateBias);
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    pop(rdi);
    pop(r11);
    if ((how & kHasResult) == 0) mov(rax, r11);
    ldmxcsr(ptr[rdi + (kMxcsrOffset - kStateBias)]);
    for (int i = 0; i < 16; ++i) {
      if (has_avx_) {
        vmovups(Xbyak::Ymm(i), ptr[rsp + i * kVectorBytes]);
      } else {
        movups(Xbyak::Xmm(i), ptr[rsp + i * kVectorBytes]);
      }
    }
    add(rsp, 16 * kVectorBytes);
    pop_all(saved);
    ret();
  }

  CodeCache& cache_;
  StateLayout layout_;
  const bool jump_cache_;
  Xbyak::Label host_mxcsr_, exit_label_;
  const bool has_avx_ = Xbyak::util::Cpu().has(Xbyak::util::Cpu::tAVX);
};

constexpr size_t kStubBytes = 48;

class StubGenerator : public Xbyak::CodeGenerator {
 public:
  explicit StubGenerator(uint8_t* memory) : CodeGenerator(kStubBytes, memory) {}
  void generate(const CodeCache& cache, const BaselineEntries& entries, Link& link) {
    if (link.target != 0) add(qword[host::state(kRipOffset)], link.target);
    mov(r10, reinterpret_cast<uint64_t>(&link));
    jmp(cache.writable(entries.exit_link), T_NEAR);
  }
};

}  // namespace

const uint8_t* emit_link_stub(CodeCache& cache, const BaselineEntries& entries, Link& link) {
  uint8_t* memory = cache.allocate_code(kStubBytes);
  if (memory == nullptr) return nullptr;
  StubGenerator(memory).generate(cache, entries, link);
  return cache.executable(memory);
}

Entries make_entries(CodeCache& cache, const StateLayout& layout, bool jump_cache) {
  const Entries entries = EntriesGenerator(cache, layout, jump_cache).generate();
  cache.keep();
  return entries;
}

}  // namespace calco::jit
