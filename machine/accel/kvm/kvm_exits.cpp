// What KVM_RUN ends for.
#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "cpu/exec/block_cache.h"
#include "cpu/flags.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/msr.h"
#include "cpu/system/register_dump.h"
#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_vcpu.h"
#include "machine/debugger/linear_memory.h"

namespace calco::machine {

using cpu::Activity;
using cpu::RunExit;

// --- Devices ---------------------------------------------------------------------------------------------------------

void KvmVcpu::access_ports() {
  access_incomplete_ = true;
  ++counters_.port_accesses;
  PortBus& ports = cpu_.environment().ports;
  const auto& access = run_->io;
  auto* data = reinterpret_cast<uint8_t*>(run_) + access.data_offset;
  const unsigned size = access.size;
  for (uint32_t i = 0; i < access.count; ++i, data += size) {
    uint32_t value = 0;
    if (access.direction == KVM_EXIT_IO_OUT) {
      std::memcpy(&value, data, size);
      ports.write(access.port, size, value);
    } else {
      value = ports.read(access.port, size);
      std::memcpy(data, &value, size);
    }
  }
}

// Also what has memory, but no slot at this moment.
void KvmVcpu::access_memory() {
  access_incomplete_ = true;
  ++counters_.memory_accesses;
  MemoryMap& map = cpu_.environment().memory_map;
  auto& access = run_->mmio;
  const unsigned size = access.len;
  const MemoryRange* range = map.view().find(access.phys_addr);
  const bool whole_window = range != nullptr && range->host == nullptr && range->last - access.phys_addr >= size - 1 &&
                            std::has_single_bit(size);
  uint64_t value = 0;
  if (access.is_write) {
    std::memcpy(&value, access.data, size);
    if (whole_window) {
      map.write_window(*range, access.phys_addr, size, value);
    } else {
      map.write(access.phys_addr, access.data, size);
    }
  } else if (whole_window) {
    value = map.read_window(*range, access.phys_addr, size);
    std::memcpy(access.data, &value, size);
  } else {
    map.read(access.phys_addr, access.data, size);
  }
}

// --- MSRs ------------------------------------------------------------------------------------------------------------

namespace {

constexpr uint32_t kTscDeadline = 0x6E0, kX2apicFirst = 0x800, kX2apicLast = 0x8FF;

// Registers that are ours: those of the local APIC where the kernel has none, and those that the kernel does not know.
// A value that the kernel refuses for one that it does know is a #GP.
bool is_ours(KernelIrqchip irqchip, uint32_t index, uint32_t reason) {
  const bool local_apic = index == kTscDeadline || (index >= kX2apicFirst && index <= kX2apicLast);
  if (local_apic) return irqchip == KernelIrqchip::Off;
  return (reason & KVM_MSR_EXIT_REASON_UNKNOWN) != 0;
}

}  // namespace

void KvmVcpu::read_msr() {
  access_incomplete_ = true;
  ++counters_.msr_accesses;
  store_tsc();
  uint64_t value = 0;
  run_->msr.error =
      !is_ours(services_.irqchip, run_->msr.index, run_->msr.reason) || !cpu::read_msr(cpu_, run_->msr.index, value);
  run_->msr.data = value;
}

void KvmVcpu::write_msr() {
  access_incomplete_ = true;
  ++counters_.msr_accesses;
  store_tsc();
  run_->msr.error = !is_ours(services_.irqchip, run_->msr.index, run_->msr.reason) ||
                    !cpu::write_msr(cpu_, run_->msr.index, run_->msr.data);
}

// --- Halt, shutdown --------------------------------------------------------------------------------------------------

// The state stays in the kernel; what Cpu::has_work() looks at is brought up to date.
RunExit KvmVcpu::halt() {
  ++counters_.halts;
  cpu_.activity = Activity::Halted;
  const uint64_t flags = cpu_.system_flags & ~cpu::rflags::kIf;
  cpu_.system_flags = run_->if_flag ? flags | cpu::rflags::kIf : flags;
  return RunExit::Halted;
}

RunExit KvmVcpu::shut_down() {
  leave(cpu_);
  cpu_.log().print(LogItem::Interrupts, "CPU {}: triple fault", cpu_.environment().index);
  cpu_.activity = Activity::Shutdown;
  cpu_.environment().triple_fault();
  return RunExit::Shutdown;
}

// --- What KVM cannot do ----------------------------------------------------------------------------------------------

RunExit KvmVcpu::internal_error() {
  if (run_->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) return interpret_for_kvm();
  std::string data;
  for (uint32_t i = 0; i < run_->internal.ndata && i < 16; ++i) {
    data += fmt::format(" {:#x}", static_cast<uint64_t>(run_->internal.data[i]));
  }
  return give_up(fmt::format("KVM: internal error, suberror {}, data{}", run_->internal.suberror, data));
}

namespace {

decode::CodeSize code_size(const cpu::Cpu& cpu) {
  if (cpu.code_64()) return decode::CodeSize::Bits64;
  return cpu.segments[cpu::kCs].big() ? decode::CodeSize::Bits32 : decode::CodeSize::Bits16;
}

// The name of the instruction at RIP, for people.
std::string name_of_instruction(cpu::Cpu& cpu) {
  constexpr uint64_t kLongest = 15;
  const uint64_t rip = cpu.registers[cpu::kRip];
  const uint64_t linear = cpu.code_64() ? rip : static_cast<uint32_t>(cpu.segments[cpu::kCs].base + rip);
  const std::vector<uint8_t> bytes = read_linear_memory(cpu, linear, kLongest);
  decode::Instruction instruction;
  if (decode::decode(bytes, code_size(cpu), cpu.model().features(), instruction) == decode::Status::Ok) {
    return std::string(decode::name(instruction.mnemonic));
  }
  std::string text = "bytes";
  for (size_t i = 0; i < bytes.size() && i < 4; ++i) text += fmt::format(" {:02x}", bytes[i]);
  return text;
}

}  // namespace

// The instruction that KVM could not emulate is interpreted on the same state; KVM goes on behind it.
RunExit KvmVcpu::interpret_for_kvm() {
  drop_invalid_opcode_ = !services_.capabilities.exit_on_emulation_failure;
  leave(cpu_);
  drop_invalid_opcode_ = false;
  const std::string name = name_of_instruction(cpu_);
  if (++counters_.not_emulated[name] == 1) {
    cpu_.log().print(LogItem::Accel, "CPU {}: KVM cannot emulate {} at {:#x}; interpreted", cpu_.environment().index,
                     name, cpu_.registers[cpu::kRip]);
  }
  const cpu::BlockCache::Counters before = cpu_.blocks().counters;
  const uint64_t address = cpu_.registers[cpu::kRip];
  const RunExit exit = cpu_.run_uncached(1, true);
  const cpu::BlockCache::Counters& after = cpu_.blocks().counters;
  // An invalid opcode is the guest's business, unless the guest was promised more than the interpreter has: by -cpu
  // host, or by a KVM that shows the host's CPUID, so that the guest switched on state that its model has not.
  const bool promised = cpu_.model().is_host() || (cpu_.xcr0 & ~uint64_t{1} & ~cpu_.model().supported_xcr0()) != 0;
  const bool unknown = promised && after.undecodable != before.undecodable;
  if (after.without_handler == before.without_handler && !unknown) return exit;
  // Its registers are those behind the delivery of #UD.
  return give_up(fmt::format("neither KVM nor the interpreter can execute {} at {:#x}", name, address));
}

RunExit KvmVcpu::give_up(const std::string& reason) {
  leave(cpu_);
  services_.give_up(fmt::format("CPU {}: {}\n{}", cpu_.environment().index, reason, cpu::describe_registers(cpu_)));
  return RunExit::Stopped;
}

}  // namespace calco::machine
