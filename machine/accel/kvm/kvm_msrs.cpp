#include "machine/accel/kvm/kvm_msrs.h"

#include <linux/kvm.h>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_table.h"

namespace calco::machine {

namespace {

using cpu::CpuState;

// Numbers: SDM vol. 4; Documentation/virt/kvm/x86/msr.rst.
constexpr uint32_t kMtrrPairs = 0x200, kMtrrFixed64K = 0x250, kMtrrFixed16K = 0x258, kMtrrFixed4K = 0x268,
                   kMtrrDefaultType = 0x2FF, kMachineCheck = 0x400;

struct Place {
  uint32_t index;
  uint64_t CpuState::* member;
};

constexpr Place kPlaces[] = {
    {0x3A, &CpuState::feature_control},
    {0x3B, &CpuState::tsc_adjust},
    {0x48, &CpuState::spec_control},
    {0x174, &CpuState::sysenter_cs},
    {0x175, &CpuState::sysenter_esp},
    {0x176, &CpuState::sysenter_eip},
    {0x17A, &CpuState::mcg_status},
    {0x17B, &CpuState::mcg_control},
    {0x1A0, &CpuState::misc_enable},
    {0x1D9, &CpuState::debug_control},
    {0x277, &CpuState::pat},
    {0xDA0, &CpuState::xss},
    {0xC0000081, &CpuState::star},
    {0xC0000082, &CpuState::lstar},
    {0xC0000083, &CpuState::cstar},
    {0xC0000084, &CpuState::syscall_mask},
    {0xC0000102, &CpuState::kernel_gs_base},
    {0xC0000103, &CpuState::tsc_aux},
};

constexpr uint32_t kWallClock = 0x4B564D00, kSystemTime = 0x4B564D01, kStealTime = 0x4B564D03;

// `State` is CpuState or const CpuState; null where the register is no MTRR.
template <typename State>
auto find_mtrr(State& state, uint32_t index) -> decltype(&state.mtrr.default_type) {
  auto& mtrr = state.mtrr;
  if (index == kMtrrDefaultType) return &mtrr.default_type;
  if (index == kMtrrFixed64K) return &mtrr.fixed[0];
  if (index - kMtrrFixed16K < 2) return &mtrr.fixed[1 + index - kMtrrFixed16K];
  if (index - kMtrrFixed4K < 8) return &mtrr.fixed[3 + index - kMtrrFixed4K];
  if (index - kMtrrPairs >= 2 * mtrr.base.size()) return nullptr;
  const uint32_t pair = (index - kMtrrPairs) / 2;
  return (index & 1) != 0 ? &mtrr.mask[pair] : &mtrr.base[pair];
}

// Where the register is kept.
template <typename State>
auto find_register(State& state, uint32_t index) -> decltype((state.star)) {
  for (const Place& place : kPlaces) {
    if (place.index == index) return state.*place.member;
  }
  if (index == kWallClock) return state.paravirtual.wall_clock;
  if (index == kSystemTime) return state.paravirtual.system_time;
  if (index == kStealTime) return state.paravirtual.steal_time;
  if (auto* mtrr = find_mtrr(state, index)) return *mtrr;
  return state.machine_check[index - kMachineCheck];
}

std::vector<uint32_t> all_registers() {
  std::vector<uint32_t> indices;
  for (const Place& place : kPlaces) indices.push_back(place.index);
  CpuState state;
  for (uint32_t i = 0; i < 2 * state.mtrr.base.size(); ++i) indices.push_back(kMtrrPairs + i);
  indices.push_back(kMtrrFixed64K);
  for (uint32_t i = 0; i < 2; ++i) indices.push_back(kMtrrFixed16K + i);
  for (uint32_t i = 0; i < 8; ++i) indices.push_back(kMtrrFixed4K + i);
  indices.push_back(kMtrrDefaultType);
  for (uint32_t i = 0; i < state.machine_check.size(); ++i) indices.push_back(kMachineCheck + i);
  indices.insert(indices.end(), {kWallClock, kSystemTime, kStealTime});
  return indices;
}

constexpr size_t kMaximumRegisters = 128;

class MsrTable {
 public:
  void add(uint32_t index, uint64_t value) {
    kvm_msr_entry& entry = table_.entries()[table_.header().count++];
    entry.index = index;
    entry.data = value;
  }
  const kvm_msr_entry& operator[](size_t position) { return table_.entries()[position]; }
  void* get() { return table_.get(); }

 private:
  KvmTable<kvm_msr_entry> table_{kMaximumRegisters};
};

}  // namespace

KvmMsrs::KvmMsrs(int vcpu) : vcpu_(vcpu) {
  for (const uint32_t index : all_registers()) {
    MsrTable table;
    table.add(index, 0);
    // The answer is the number of registers read.
    if (kvm_try(vcpu_, table_call::kGetMsrs, table.get()) != 1) continue;
    // One that reads but cannot be written with its own value is not kept there.
    if (kvm_try(vcpu_, table_call::kSetMsrs, table.get()) != 1) continue;
    entries_.push_back({index, table[0].data});
  }
}

void KvmMsrs::store(CpuState& state) {
  MsrTable table;
  for (const Entry& entry : entries_) table.add(entry.index, 0);
  const int read = kvm_call(vcpu_, table_call::kGetMsrs, table.get(), "KVM_GET_MSRS");
  for (size_t i = 0; i < static_cast<size_t>(read); ++i) {
    entries_[i].known = table[i].data;
    find_register(state, entries_[i].index) = entries_[i].known;
  }
}

void KvmMsrs::load(const CpuState& state) {
  MsrTable table;
  std::vector<Entry*> changed;
  for (Entry& entry : entries_) {
    const uint64_t value = find_register(state, entry.index);
    if (value == entry.known) continue;
    table.add(entry.index, value);
    changed.push_back(&entry);
  }
  // The kernel stops at the first register that it refuses: that one keeps the kernel's value, the rest goes on.
  size_t done = 0;
  while (done < changed.size()) {
    MsrTable rest;
    for (size_t i = done; i < changed.size(); ++i) rest.add(table[i].index, table[i].data);
    const int written = kvm_call(vcpu_, table_call::kSetMsrs, rest.get(), "KVM_SET_MSRS");
    for (size_t i = done; i < done + static_cast<size_t>(written); ++i) changed[i]->known = table[i].data;
    done += static_cast<size_t>(written) + 1;
  }
}

}  // namespace calco::machine
