// What both monitors can do with the guest.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/machine.h"
#include "machine/monitor/core_dump.h"
#include "machine/monitor/key_sender.h"

namespace calco::machine {

// Threads: the machine's thread, without the device lock, unless something else is said. What cannot be done throws
// MonitorError.
class GuestControl {
 public:
  explicit GuestControl(Machine& machine);

  Machine& machine() { return machine_; }
  unsigned processor_count() const { return static_cast<unsigned>(machine_.board().processors.size()); }

  // QEMU's word for the run state. From any thread, as running().
  std::string_view status() const;
  bool running() const { return machine_.state() == RunState::Running; }

  void stop() { machine_.stop(); }
  void resume();
  // Done by the machine after the command.
  void reset() { machine_.request_reset(Cause::Monitor); }
  void quit() { machine_.request_exit(0, Cause::Monitor); }
  void press_power_button() { machine_.press_power_button(); }
  // LINT1 of every processor, to which the PC wires NMI.
  void inject_nmi();
  // Another engine goes on with the guest.
  void exchange_engine(const std::string& name);
  // Lines of statistics; MonitorError where the engine does not translate.
  std::string translation_report();
  void send_keys(std::vector<devices::KeyCode> keys, std::chrono::milliseconds hold);
  void dump_memory(const std::string& path, CoreAddresses addresses, CoreRange range);
  std::vector<CharacterDevices::Entry> character_devices();

  // Runs `read` while the processor stands still, with the device lock, and gives what it gives.
  std::string read_processor(unsigned index, const std::function<std::string(cpu::Cpu&)>& read);
  // The same for the board's chips.
  std::string read_board(const std::function<std::string(PcBoard&)>& read);

 private:
  Machine& machine_;
  KeySender key_sender_;
};

}  // namespace calco::machine
