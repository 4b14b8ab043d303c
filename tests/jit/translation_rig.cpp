#include "tests/jit/translation_rig.h"

#include <cstddef>

#include "jit/runtime/register_frame.h"

namespace calco::jit {

namespace {

// The host registers that carry guest registers, in the order of kArgumentRegisters.
const std::array<Xbyak::Reg64, 12> kHostRegisters = {
    Xbyak::Reg64(12), Xbyak::Reg64(13), Xbyak::Reg64(14), Xbyak::Reg64(15), Xbyak::Reg64(7),  Xbyak::Reg64(6),
    Xbyak::Reg64(2),  Xbyak::Reg64(1),  Xbyak::Reg64(8),  Xbyak::Reg64(9),  Xbyak::Reg64(11), Xbyak::Reg64(0)};

}  // namespace

TranslationRig::TranslationRig() {
  state.tlb = tlb.data();
  state.rig = this;
  flush();
  make_entries();
  load = [this](uint64_t linear, uint32_t site) {
    uint64_t value = 0;
    std::memcpy(&value, host(linear), site_size(site));
    return value;
  };
  store = [this](uint64_t linear, uint32_t site, uint64_t value) {
    if (!read_only) std::memcpy(host(linear), &value, site_size(site));
    return !read_only;
  };
  host_address = [this](uint64_t linear, uint32_t site) -> uint8_t* {
    return read_only && (site & kSiteWrite) != 0 ? nullptr : host(linear);
  };
}

StateLayout TranslationRig::layout() {
  StateLayout result;
  result.tlb = offsetof(State, tlb);
  result.exit_request = offsetof(State, exit_request);
  result.exit_reason = offsetof(State, exit_reason);
  return result;
}

void TranslationRig::enter(const void* code) {
  state.cpu.registers[cpu::kRip] = kPageBase;
  state.exit_reason = kNoReason;
  enter_(code, reinterpret_cast<uint8_t*>(&state) + kStateBias);
}

void** TranslationRig::link_cell(int32_t target) {
  std::unique_ptr<void*>& cell = cells_[target];
  if (cell == nullptr) {
    cell = std::make_unique<void*>(const_cast<void*>(make_exit(kLink + static_cast<uint32_t>(target))));
  }
  return cell.get();
}

// --- The runtime's code
// --------------------------------------------------------------------------------------------------

void TranslationRig::make_entries() {
  make_enter();
  entries.exit = make_exit(0);
  entries.exit_stored = make_exit(0, /*registers=*/false);
  entries.probe = make_exit(kProbe);
  entries.load = make_access(reinterpret_cast<const void*>(&on_load));
  entries.store = make_access(reinterpret_cast<const void*>(&on_store));
  entries.host_address = make_access(reinterpret_cast<const void*>(&on_host_address));
  entries.interpret = make_call(reinterpret_cast<const void*>(&on_interpret), /*has_result=*/false);
  entries.put_state = assembler_.getCurr();
  emit_put_state(assembler_, /*has_avx=*/false);
  entries.get_flags = make_call(reinterpret_cast<const void*>(&on_get_flags));
}

// void enter(code, biased state): a C function.
void TranslationRig::make_enter() {
  enter_ = assembler_.getCurr<decltype(enter_)>();
  const std::array kept = {assembler_.rbx, assembler_.rbp, assembler_.r12,
                           assembler_.r13, assembler_.r14, assembler_.r15};
  for (const Xbyak::Reg64& each : kept) assembler_.push(each);
  assembler_.sub(assembler_.rsp, kFrameBytes + 8);
  assembler_.mov(assembler_.r10, assembler_.rdi);
  assembler_.mov(assembler_.r13, assembler_.rsi);
  for (size_t i = 0; i < kHostRegisters.size(); ++i) {
    if (kArgumentRegisters[i] != cpu::kZero) assembler_.mov(kHostRegisters[i], at(kArgumentRegisters[i] * 8));
  }
  assembler_.call(assembler_.r10);
  assembler_.add(assembler_.rsp, kFrameBytes + 8);
  for (size_t i = kept.size(); i-- > 0;) assembler_.pop(kept[i]);
  assembler_.ret();
}

const void* TranslationRig::make_exit(uint64_t way_out, bool registers) {
  const void* code = assembler_.getCurr();
  for (size_t i = 0; registers && i < kHostRegisters.size(); ++i) {
    if (kArgumentRegisters[i] != cpu::kZero) assembler_.mov(at(kArgumentRegisters[i] * 8), kHostRegisters[i]);
  }
  assembler_.mov(assembler_.r10, way_out);
  assembler_.mov(at(offsetof(State, way_out)), assembler_.r10);
  assembler_.ret();
  return code;
}

// The same for accesses, which get the registers' place as their last argument.
const void* TranslationRig::make_access(const void* function) {
  const void* code = assembler_.getCurr();
  RegisterFrame frame(assembler_, /*has_avx=*/false);
  frame.save();
  assembler_.mov(assembler_.r9, assembler_.rsp);
  assembler_.mov(assembler_.rax, reinterpret_cast<uintptr_t>(function));
  assembler_.call(assembler_.rax);
  assembler_.mov(frame.general(assembler_.rax.getIdx()), assembler_.rax);
  frame.restore();
  assembler_.ret();
  return code;
}

// A function of the preserve_allcc convention around a C function.
const void* TranslationRig::make_call(const void* function, bool has_result) {
  const std::array kept = {assembler_.rcx, assembler_.rdx, assembler_.rsi, assembler_.rdi,
                           assembler_.r8,  assembler_.r9,  assembler_.r10, assembler_.rbp};
  constexpr int kVectors = 16 * 16;
  const void* code = assembler_.getCurr();
  if (!has_result) assembler_.push(assembler_.rax);
  for (const Xbyak::Reg64& each : kept) assembler_.push(each);
  assembler_.mov(assembler_.rbp, assembler_.rsp);
  assembler_.sub(assembler_.rsp, kVectors);
  assembler_.and_(assembler_.rsp, -16);
  for (int i = 0; i < 16; ++i) assembler_.movups(assembler_.ptr[assembler_.rsp + i * 16], Xbyak::Xmm(i));
  assembler_.mov(assembler_.rax, reinterpret_cast<uintptr_t>(function));
  assembler_.call(assembler_.rax);
  for (int i = 0; i < 16; ++i) assembler_.movups(Xbyak::Xmm(i), assembler_.ptr[assembler_.rsp + i * 16]);
  assembler_.mov(assembler_.rsp, assembler_.rbp);
  for (size_t i = kept.size(); i-- > 0;) assembler_.pop(kept[i]);
  if (!has_result) assembler_.pop(assembler_.rax);
  assembler_.ret();
  return code;
}

// --- What it calls
// -------------------------------------------------------------------------------------------------------

TranslationRig& TranslationRig::rig_of(void* biased) {
  auto* const state = reinterpret_cast<State*>(static_cast<uint8_t*>(biased) - kStateBias);
  state->rig->at_slow_path = state->cpu;
  return *state->rig;
}

// Enters the page of default memory that `linear` lies in.
void TranslationRig::fill(uint64_t linear) {
  if (!fills_tlb || linear - kMemory >= kMemorySize) return;
  cpu::TlbEntry& entry = *cpu::tlb_entry(tlb.data(), linear);
  const uint64_t page = linear & ~uint64_t{0xFFF};
  entry.read = page;
  entry.write = read_only ? page | cpu::kTlbSlow : page;
  entry.addend = reinterpret_cast<uintptr_t>(memory.data()) - kMemory;
}

TranslationRig& TranslationRig::rig_at_access(void* biased, const StateTable* table, const HostRegisters* registers) {
  TranslationRig& rig = rig_of(biased);
  put_state(&rig.at_slow_path, table, registers);
  return rig;
}

uint64_t TranslationRig::on_load(void* biased, uint64_t linear, uint32_t site, uint64_t, const StateTable* table,
                                 const HostRegisters* registers) {
  TranslationRig& rig = rig_at_access(biased, table, registers);
  ++rig.slow_loads;
  rig.last_site = site;
  rig.fill(linear);
  return rig.load(linear, site);
}

uint64_t TranslationRig::on_store(void* biased, uint64_t linear, uint32_t site, uint64_t value, const StateTable* table,
                                  const HostRegisters* registers) {
  TranslationRig& rig = rig_at_access(biased, table, registers);
  ++rig.slow_stores;
  rig.last_site = site;
  rig.fill(linear);
  return rig.store(linear, site, value) ? 0 : 1;
}

uint8_t* TranslationRig::on_host_address(void* biased, uint64_t linear, uint32_t site, uint64_t,
                                         const StateTable* table, const HostRegisters* registers) {
  TranslationRig& rig = rig_at_access(biased, table, registers);
  ++rig.slow_host_addresses;
  rig.last_site = site;
  rig.fill(linear);
  return rig.host_address(linear, site);
}

void TranslationRig::on_interpret(void* biased, const cpu::Op* op) {
  TranslationRig& rig = rig_of(biased);
  rig.interpret(rig.state.cpu, *op);
}

uint64_t TranslationRig::on_get_flags(void* biased) { return cpu::arithmetic_flags(rig_of(biased).state.cpu.flags); }

}  // namespace calco::jit
