// The gdb stub: gdb's remote serial protocol on a character back end (-gdb, -s).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/cpu.h"
#include "devices/host/character_backend.h"
#include "machine/debugger/gdb_packet.h"

namespace calco::machine {

// What a processor shall do when the machine goes on.
enum class ResumeAction : uint8_t { Stay, Run, Step };

// What the stub needs of the machine. The functions only post requests; all may be called under the device lock.
struct DebuggerServices {
  std::vector<cpu::Cpu*> processors;  // outlive the stub
  std::function<void()> pause;        // GdbServer::machine_stopped() is called once all processors stand still
  std::function<void(std::vector<ResumeAction> actions)> resume;  // one action a processor
  std::function<void(int status)> exit;
};

// One gdb at a time; processors are its threads 1 to n. A client that connects stops the machine. One that leaves, by
// `detach` or without a word, takes its breakpoints along, and the guest goes on - unless it stood still already when
// the client came, and the client never let it go.
//
// Breakpoints and watchpoints are linear addresses, the same on every processor, and no guest memory is patched.
// Watchpoints make processors execute one instruction at a time.
//
// Threads: everything with the device lock held. The processors' state is touched only between machine_stopped() and
// the next resume.
class GdbServer final : private devices::CharacterFrontEnd {
 public:
  // `backend` outlives the server.
  GdbServer(devices::CharacterBackend& backend, DebuggerServices services);
  GdbServer(const GdbServer&) = delete;
  GdbServer& operator=(const GdbServer&) = delete;
  ~GdbServer() override;

  // All processors stand still. `was_running`: they did not before.
  void machine_stopped(bool was_running);
  // A client has stopped the machine, or is about to.
  bool holds_machine() const { return state_ == State::Stopped || state_ == State::Stopping; }
  // The machine ends with this status.
  void machine_ends(int status);

 private:
  enum class State : uint8_t {
    Idle,      // nobody is connected
    Leaving,   // the client has gone; the machine was asked to stop, so that its breakpoints can be taken out
    Stopping,  // the machine was asked to stop; input waits
    Stopped,
    Running,
  };

  size_t can_receive() override;
  void receive(std::span<const uint8_t> bytes) override;
  void backend_event(devices::CharacterEvent event) override;
  void writable() override;

  void send(std::string_view data);
  void write_out();
  void stop();
  void resume(std::vector<ResumeAction> actions);
  void resume_all();
  void leave(bool go_on);

  // --- Commands: the answer, or null where none is due now -----------------------------------------------------------
  std::optional<std::string> execute(std::string_view packet);
  std::optional<std::string> execute_query(std::string_view query);
  std::optional<std::string> execute_verbose(std::string_view command);
  std::optional<std::string> resume_threads(std::string_view actions);
  std::optional<std::string> resume_from(std::string_view arguments, ResumeAction action);
  std::optional<std::string> detach();
  std::string select_thread(std::string_view arguments);
  std::string thread_is_alive(std::string_view arguments) const;
  std::string list_threads() const;
  std::string describe_thread(std::string_view arguments) const;
  std::string transfer_description(std::string_view arguments) const;
  std::string run_monitor_command(std::string_view hex) const;
  std::string read_all_registers() const;
  std::string write_all_registers(std::string_view hex);
  std::string read_register(std::string_view arguments) const;
  std::string write_register(std::string_view arguments);
  std::string read_memory(std::string_view arguments) const;
  std::string write_memory(std::string_view arguments, bool binary);
  std::string change_breakpoint(std::string_view arguments, bool insert);

  // --- Stops ---------------------------------------------------------------------------------------------------------
  void note_stop();
  std::optional<unsigned> processor_of(std::string_view& text) const;
  cpu::Cpu& selected() const { return *services_.processors[selected_]; }

  devices::CharacterBackend& backend_;
  DebuggerServices services_;
  State state_ = State::Idle;
  GdbPacketReader reader_;
  std::string last_sent_;  // for a '-'
  std::string outgoing_;   // what the back end did not take yet
  bool acknowledge_ = true;
  bool report_stop_ = false;    // gdb waits for a stop reply
  bool interrupted_ = false;    // by Ctrl-C
  bool goes_on_alone_ = false;  // the guest shall run when the client leaves
  std::string stop_reply_;
  unsigned selected_ = 0;              // processor that registers and memory are meant of
  std::vector<ResumeAction> actions_;  // of the last resume

  // Breakpoints that gdb calls software and hardware ones are the same here, but are counted and reported apart.
  struct Breakpoint {
    bool software;
    uint64_t linear;
    bool operator==(const Breakpoint&) const = default;
  };
  std::vector<Breakpoint> breakpoints_;
  std::vector<cpu::DebuggerStops::Watchpoint> watchpoints_;
};

}  // namespace calco::machine
