// What both monitors can do with the guest.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "machine/machine.h"
#include "machine/monitor/core_dump.h"
#include "machine/monitor/key_sender.h"

namespace calco::machine {

// How far the latest core dump has come. The names in the monitors are QEMU's.
struct DumpState {
  enum class Status : uint8_t { None, Active, Completed, Failed };
  Status status = Status::None;
  uint64_t completed = 0, total = 0;  // bytes of RAM
  std::string error;                  // of one that failed: a line

  std::string_view name() const;
};

// For what is asked for a core in another format of QEMU's: throws MonitorError.
[[noreturn]] void refuse_dump_format(std::string_view format);

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

  void stop();
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
  // Begins to write a core; the guest stands still until it is written, and goes on then if it ran.
  void begin_dump(const CoreRequest& request);
  // The dump that has been begun is over; called once, before the next request of the machine.
  using DumpListener = std::function<void(const DumpState&)>;
  void when_dumped(DumpListener listener) { dump_listener_ = std::move(listener); }
  // Told of every one before the guest goes on. For the constructor of who owns the monitors.
  void set_dump_observer(DumpListener observer) { dump_observer_ = std::move(observer); }
  DumpState dump_state() const;
  // Breaks a dump off; nobody is told. Without the device lock, when the machine's requests are not served any more.
  void end_dump() { dump_.reset(); }
  std::vector<CharacterDevices::Entry> character_devices();

  // Runs `read` while the processor stands still, with the device lock, and gives what it gives.
  std::string read_processor(unsigned index, const std::function<std::string(cpu::Cpu&)>& read);
  // The same for the board's chips.
  std::string read_board(const std::function<std::string(PcBoard&)>& read);

 private:
  void finish_dump();
  void refuse_during_dump() const;

  Machine& machine_;
  KeySender key_sender_;
  std::unique_ptr<CoreDump> dump_;  // null: none is being written
  DumpState last_dump_;
  DumpListener dump_listener_, dump_observer_;
};

}  // namespace calco::machine
