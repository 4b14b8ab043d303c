#include "machine/monitor/guest_control.h"

#include <exception>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "machine/monitor/monitor_error.h"

namespace calco::machine {

GuestControl::GuestControl(Machine& machine)
    : machine_(machine), key_sender_(machine.loop().clock(), *machine.board().keyboard) {}

std::string_view GuestControl::status() const {
  switch (machine_.state()) {
    case RunState::Prelaunch:
      return "prelaunch";
    case RunState::Running:
      return "running";
    case RunState::Paused:
      return "paused";
    case RunState::Shutdown:
      return "shutdown";
  }
  return "internal-error";
}

void GuestControl::resume() {
  switch (machine_.resume()) {
    case Machine::Resumption::Runs:
      return;
    case Machine::Resumption::NeedsReset:
      throw MonitorError("Resetting the Virtual Machine is required");
    case Machine::Resumption::HeldByDebugger:
      throw MonitorError("gdb has stopped the guest; continue it there");
  }
}

void GuestControl::inject_nmi() {
  std::lock_guard lock(machine_.loop().device_lock());
  if (machine_.board().local_apics_in_kernel) {
    for (const auto& processor : machine_.board().processors) processor->raise_nmi();
    return;
  }
  for (const auto& apic : machine_.board().local_apics) {
    apic->set_lint1(true);
    apic->set_lint1(false);
  }
}

void GuestControl::exchange_engine(const std::string& name) {
  try {
    machine_.exchange_engine(name);
  } catch (const std::runtime_error& error) {
    throw MonitorError(error.what());
  }
}

std::string GuestControl::translation_report() {
  return read_board([this](PcBoard&) {
    const auto report = machine_.engine().translation_report();
    if (!report) throw MonitorError("JIT information is only available with accel=jit");
    return *report;
  });
}

void GuestControl::send_keys(std::vector<devices::KeyCode> keys, std::chrono::milliseconds hold) {
  std::lock_guard lock(machine_.loop().device_lock());
  key_sender_.send(std::move(keys), hold, machine_.loop().clock().now());
}

std::vector<CharacterDevices::Entry> GuestControl::character_devices() {
  std::lock_guard lock(machine_.loop().device_lock());
  return machine_.board().character_devices->list();
}

void GuestControl::dump_memory(const std::string& path, CoreAddresses addresses, CoreRange range) {
  std::exception_ptr failure;
  machine_.while_processors_stand([&] {
    try {
      write_core_dump(machine_.board(), path, addresses, range);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

std::string GuestControl::read_processor(unsigned index, const std::function<std::string(cpu::Cpu&)>& read) {
  return read_board([&](PcBoard& board) { return read(*board.processors[index]); });
}

// An exception waits until the guest goes on again.
std::string GuestControl::read_board(const std::function<std::string(PcBoard&)>& read) {
  std::string result;
  std::exception_ptr failure;
  machine_.while_paused([&] {
    try {
      result = read(machine_.board());
    } catch (...) {
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  return result;
}

}  // namespace calco::machine
