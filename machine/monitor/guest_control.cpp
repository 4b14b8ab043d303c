#include "machine/monitor/guest_control.h"

#include <fmt/format.h>

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
    case RunState::SaveVm:
      return "save-vm";
  }
  return "internal-error";
}

void GuestControl::stop() {
  refuse_during_dump();
  machine_.stop();
}

void GuestControl::resume() {
  switch (machine_.resume()) {
    case Machine::Resumption::Runs:
      return;
    case Machine::Resumption::Held:
      return refuse_during_dump();
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

// --- Core dumps ------------------------------------------------------------------------------------------------------

std::string_view DumpState::name() const {
  switch (status) {
    case Status::None:
      return "none";
    case Status::Active:
      return "active";
    case Status::Completed:
      return "completed";
    case Status::Failed:
      return "failed";
  }
  return "";
}

void refuse_dump_format(std::string_view format) {
  throw MonitorError(fmt::format("{} is not available; makedumpfile makes it of an elf core", format));
}

void GuestControl::refuse_during_dump() const {
  if (dump_ != nullptr) throw MonitorError("There is a dump in process, please wait.");
}

void GuestControl::begin_dump(const CoreRequest& request) {
  refuse_during_dump();
  machine_.hold();
  try {
    dump_ = std::make_unique<CoreDump>(machine_.board(), request, [this] { machine_.post([this] { finish_dump(); }); });
  } catch (...) {
    machine_.end_hold();
    throw;
  }
}

void GuestControl::finish_dump() {
  last_dump_ = {.status = dump_->error().empty() ? DumpState::Status::Completed : DumpState::Status::Failed,
                .completed = dump_->completed(),
                .total = dump_->total(),
                .error = dump_->error()};
  dump_.reset();
  if (dump_observer_) dump_observer_(last_dump_);
  machine_.end_hold();
  if (dump_listener_) std::exchange(dump_listener_, {})(last_dump_);
}

DumpState GuestControl::dump_state() const {
  if (dump_ == nullptr) return last_dump_;
  return {.status = DumpState::Status::Active, .completed = dump_->completed(), .total = dump_->total(), .error = {}};
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
