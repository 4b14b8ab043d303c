#include "machine/monitor/qmp_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>

#include "machine/monitor/hmp_commands.h"
#include "machine/monitor/hmp_session.h"
#include "machine/monitor/monitor_error.h"
#include "machine/monitor/qmp_error.h"
#include "machine/monitor/qmp_schema.h"

namespace calco::machine {
namespace {

constexpr const char* kElf = "elf";

Json nothing() { return Json::object(); }

devices::KeyCode key_of(const Json& value) {
  const Json& data = value["data"];
  std::optional<devices::KeyCode> key;
  if (data.is_string()) key = devices::key_from_name(data.get<std::string>());
  if (data.is_number_unsigned()) key = key_from_scan_code(data.get<uint64_t>());
  if (!key) throw QmpError(fmt::format("Parameter 'keys' does not accept value {}", data.dump()));
  return *key;
}

CoreRange core_range(const Json& arguments) {
  const bool begins = arguments.contains("begin");
  if (begins != arguments.contains("length")) {
    throw QmpError(fmt::format("Parameter '{}' is missing", begins ? "length" : "begin"));
  }
  if (!begins) return {};
  const auto begin = arguments["begin"].get<int64_t>();
  const auto length = arguments["length"].get<int64_t>();
  if (begin < 0 || length <= 0) throw QmpError("Parameters 'begin' and 'length' expect a range of addresses");
  return {static_cast<uint64_t>(begin), static_cast<uint64_t>(begin) + static_cast<uint64_t>(length) - 1};
}

}  // namespace

Json qmp_version() {
  return {{"qemu", {{"micro", kQmpMicro}, {"minor", kQmpMinor}, {"major", kQmpMajor}}},
          {"package", "Calco " CALCO_VERSION}};
}

Json qmp_dump_result(const DumpState& state) {
  return {{"status", state.name()}, {"completed", state.completed}, {"total", state.total}};
}

std::span<const QmpCommands::Command> QmpCommands::commands() {
  using namespace qmp;
  static constexpr Command kTable[] = {
      {"qmp_capabilities", kCapabilitiesArguments, kNothing, &QmpCommands::qmp_capabilities},
      {"query-version", kNothing, kVersionInfo, &QmpCommands::query_version, true},
      {"query-status", kNothing, kStatusInfo, &QmpCommands::query_status, true},
      {"query-name", kNothing, kNameInfo, &QmpCommands::query_name, true},
      {"query-cpus-fast", kNothing, kProcessors, &QmpCommands::query_processors},
      {"query-chardev", kNothing, kCharacterDevices, &QmpCommands::query_character_devices},
      {"query-commands", kNothing, kCommands, &QmpCommands::query_commands, true},
      {"query-qmp-schema", kNothing, kSchema, &QmpCommands::query_schema},
      {"x-query-jit", kNothing, kHumanReadableText, &QmpCommands::query_translator},
      {"stop", kNothing, kNothing, &QmpCommands::stop},
      {"cont", kNothing, kNothing, &QmpCommands::resume},
      {"system_reset", kNothing, kNothing, &QmpCommands::system_reset},
      {"system_powerdown", kNothing, kNothing, &QmpCommands::system_powerdown},
      {"quit", kNothing, kNothing, &QmpCommands::quit},
      {"human-monitor-command", kHumanCommandArguments, kString, &QmpCommands::human_command},
      {"inject-nmi", kNothing, kNothing, &QmpCommands::inject_nmi},
      {"send-key", kSendKeyArguments, kNothing, &QmpCommands::send_key},
      {"dump-guest-memory", kDumpArguments, kNothing, &QmpCommands::dump_guest_memory},
      {"query-dump", kNothing, kDumpResult, &QmpCommands::query_dump},
      {"query-dump-guest-memory-capability", kNothing, kDumpCapability, &QmpCommands::query_dump_capability},
      {"x-calco-set-accel", kEngineArguments, kNothing, &QmpCommands::set_accelerator},
  };
  return kTable;
}

const QmpCommands::Command& QmpCommands::find(const std::string& name) {
  const auto found = std::ranges::find(commands(), name, &Command::name);
  if (found == commands().end()) {
    throw QmpError(QmpError::Class::CommandNotFound, fmt::format("The command {} has not been found", name));
  }
  return *found;
}

void QmpCommands::execute(const std::string& name, const Json& arguments, Answer answer) {
  answer_ = std::move(answer);
  Json value;
  std::exception_ptr failure;
  try {
    value = run(name, arguments);
  } catch (const std::runtime_error&) {
    failure = std::current_exception();
  }
  if (!answer_) return;
  std::exchange(answer_, {})([&] {
    if (failure) std::rethrow_exception(failure);
    return value;
  });
}

Json QmpCommands::run(const std::string& name, const Json& arguments) {
  const Command& command = find(name);
  check_value(command.arguments, arguments);
  return (this->*command.run)(arguments);
}

Json QmpCommands::execute_out_of_band(const std::string& name, const Json& arguments) {
  if (!find(name).allows_out_of_band) throw QmpError(fmt::format("The command {} does not support OOB", name));
  return run(name, arguments);
}

// The session takes it for the negotiation; afterwards it is a mistake.
Json QmpCommands::qmp_capabilities(const Json&) {
  throw QmpError(QmpError::Class::CommandNotFound, "Capabilities negotiation is already complete, command ignored");
}

Json QmpCommands::query_version(const Json&) { return qmp_version(); }

Json QmpCommands::query_status(const Json&) {
  return {{"status", guest_.status()}, {"singlestep", false}, {"running", guest_.running()}};
}

Json QmpCommands::query_name(const Json&) {
  const std::string& name = guest_.machine().config().name;
  return name.empty() ? nothing() : Json{{"name", name}};
}

// Threads first, then cores, then sockets, as the APIC ids count.
Json QmpCommands::query_processors(const Json&) {
  const ProcessorTopology& topology = guest_.machine().config().topology;
  Json list = Json::array();
  for (unsigned index = 0; index < guest_.processor_count(); ++index) {
    const unsigned core = index / topology.threads;
    list.push_back({{"cpu-index", index},
                    {"qom-path", fmt::format("/machine/unattached/device[{}]", index)},
                    {"thread-id", guest_.machine().host_thread_id(index)},
                    {"props",
                     {{"socket-id", core / topology.cores},
                      {"core-id", core % topology.cores},
                      {"thread-id", index % topology.threads}}},
                    {"target", "x86_64"}});
  }
  return list;
}

Json QmpCommands::query_character_devices(const Json&) {
  Json list = Json::array();
  for (const CharacterDevices::Entry& entry : guest_.character_devices()) {
    list.push_back({{"label", entry.label}, {"filename", entry.description}, {"frontend-open", true}});
  }
  return list;
}

Json QmpCommands::query_commands(const Json&) {
  Json list = Json::array();
  for (const Command& command : commands()) list.push_back({{"name", command.name}});
  return list;
}

Json QmpCommands::query_schema(const Json&) {
  QmpSchema schema;
  for (const Command& command : commands()) {
    schema.add_command(command.name, command.arguments, command.result, command.allows_out_of_band);
  }
  for (const std::string_view event : {"STOP", "RESUME", "POWERDOWN"}) schema.add_event(event, qmp::kNothing);
  for (const std::string_view event : {"RESET", "SHUTDOWN"}) schema.add_event(event, qmp::kCauseData);
  schema.add_event("DUMP_COMPLETED", qmp::kDumpCompletedData);
  return schema.take();
}

Json QmpCommands::query_translator(const Json&) { return {{"human-readable-text", guest_.translation_report()}}; }

Json QmpCommands::stop(const Json&) {
  guest_.stop();
  return nothing();
}

Json QmpCommands::resume(const Json&) {
  guest_.resume();
  return nothing();
}

Json QmpCommands::system_reset(const Json&) {
  guest_.reset();
  return nothing();
}

Json QmpCommands::system_powerdown(const Json&) {
  guest_.press_power_button();
  return nothing();
}

Json QmpCommands::quit(const Json&) {
  guest_.quit();
  return nothing();
}

Json QmpCommands::human_command(const Json& arguments) {
  const int64_t index = arguments.value("cpu-index", int64_t{0});
  if (index < 0 || index >= static_cast<int64_t>(guest_.processor_count())) {
    throw QmpError("Parameter 'cpu-index' expects a CPU number");
  }
  HmpCommands commands(guest_, static_cast<unsigned>(index));
  commands.execute(arguments["command-line"].get<std::string>(),
                   [answer = std::exchange(answer_, {})](const std::string& text) {
                     answer([&text]() -> Json { return terminal_text(text); });
                   });
  return {};
}

Json QmpCommands::inject_nmi(const Json&) {
  guest_.inject_nmi();
  return nothing();
}

Json QmpCommands::send_key(const Json& arguments) {
  constexpr int64_t kLongestHold = 3'600'000;  // ms
  const int64_t hold = arguments.value("hold-time", int64_t{KeySender::kDefaultHold.count()});
  if (hold < 0 || hold > kLongestHold) throw QmpError("Parameter 'hold-time' expects milliseconds up to an hour");
  std::vector<devices::KeyCode> keys;
  for (const Json& key : arguments["keys"]) keys.push_back(key_of(key));
  if (keys.size() > KeySender::kMostKeys) throw QmpError("Parameter 'keys' has too many keys");
  guest_.send_keys(std::move(keys), std::chrono::milliseconds(hold));
  return nothing();
}

Json QmpCommands::set_accelerator(const Json& arguments) {
  guest_.exchange_engine(arguments["engine"].get<std::string>());
  return nothing();
}

Json QmpCommands::dump_guest_memory(const Json& arguments) {
  constexpr std::string_view kFile = "file:";
  const auto protocol = arguments["protocol"].get<std::string>();
  if (!protocol.starts_with(kFile) || protocol.size() == kFile.size()) {
    throw QmpError("Parameter 'protocol' expects file:PATH");
  }
  const std::string format = arguments.value("format", std::string(kElf));
  if (format != kElf) refuse_dump_format(format);
  guest_.begin_dump({.path = protocol.substr(kFile.size()),
                     .addresses = arguments["paging"].get<bool>() ? CoreAddresses::Linear : CoreAddresses::Physical,
                     .range = core_range(arguments)});
  if (arguments.value("detach", false)) return nothing();
  guest_.when_dumped([answer = std::exchange(answer_, {})](const DumpState& state) {
    answer([&state] {
      if (!state.error.empty()) throw MonitorError(state.error);
      return nothing();
    });
  });
  return nothing();
}

Json QmpCommands::query_dump(const Json&) { return qmp_dump_result(guest_.dump_state()); }

Json QmpCommands::query_dump_capability(const Json&) { return {{"formats", {kElf}}}; }

}  // namespace calco::machine
