// The commands of QMP, one row each.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "machine/monitor/guest_control.h"
#include "machine/monitor/qmp_types.h"

namespace calco::machine {

// The version of QEMU whose QMP is spoken; Calco's own version is in "package".
constexpr int kQmpMajor = 7, kQmpMinor = 2, kQmpMicro = 0;

// {"qemu": {...}, "package": "..."}.
Json qmp_version();
// {"status": ..., "completed": ..., "total": ...}.
Json qmp_dump_result(const DumpState& state);

class QmpCommands {
 public:
  // `guest` outlives it. Threads: as GuestControl.
  explicit QmpCommands(GuestControl& guest) : guest_(guest) {}

  // Gives the value of "return"; throws QmpError and MonitorError.
  using Result = std::function<Json()>;
  using Answer = std::function<void(const Result&)>;
  // Calls `answer` once, perhaps later, on the same thread. `arguments` is an object.
  void execute(const std::string& name, const Json& arguments, Answer answer);
  // The value of "return" at once, of commands that wait for nothing. Throws QmpError and MonitorError. Threads: any,
  // with the device lock held.
  Json execute_out_of_band(const std::string& name, const Json& arguments);

 private:
  struct Command {
    std::string_view name;
    const QmpType& arguments;
    const QmpType& result;
    Json (QmpCommands::*run)(const Json& arguments);
    bool allows_out_of_band = false;
  };
  static std::span<const Command> commands();
  static const Command& find(const std::string& name);
  Json run(const std::string& name, const Json& arguments);

  Json qmp_capabilities(const Json& arguments);
  Json query_version(const Json& arguments);
  Json query_status(const Json& arguments);
  Json query_name(const Json& arguments);
  Json query_processors(const Json& arguments);
  Json query_character_devices(const Json& arguments);
  Json query_commands(const Json& arguments);
  Json query_translator(const Json& arguments);
  Json query_schema(const Json& arguments);
  Json stop(const Json& arguments);
  Json resume(const Json& arguments);
  Json system_reset(const Json& arguments);
  Json system_powerdown(const Json& arguments);
  Json quit(const Json& arguments);
  Json human_command(const Json& arguments);
  Json inject_nmi(const Json& arguments);
  Json send_key(const Json& arguments);
  Json dump_guest_memory(const Json& arguments);
  Json query_dump(const Json& arguments);
  Json query_dump_capability(const Json& arguments);
  Json set_accelerator(const Json& arguments);

  GuestControl& guest_;
  Answer answer_;  // while a command runs; empty where it answers later
};

}  // namespace calco::machine
