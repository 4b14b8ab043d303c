#include "machine/monitor/qmp_commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "machine/monitor/hmp_commands.h"
#include "machine/monitor/hmp_session.h"
#include "machine/monitor/monitor_error.h"
#include "machine/monitor/qmp_error.h"
#include "machine/monitor/qmp_schema.h"

namespace calco::machine {
namespace {

using Parameter = QmpCommands::Parameter;
using Type = QmpCommands::Type;

constexpr Parameter kHumanCommand[] = {{"command-line", Type::String}, {"cpu-index", Type::Integer, true}};
constexpr Parameter kSendKey[] = {{"keys", Type::Keys}, {"hold-time", Type::Integer, true}};
constexpr Parameter kEngine[] = {{"engine", Type::String}};
constexpr Parameter kDump[] = {{"paging", Type::Boolean}, {"protocol", Type::String}};

const char* word_for(Type type) {
  switch (type) {
    case Type::String:
      return "string";
    case Type::Integer:
      return "integer";
    case Type::Boolean:
      return "boolean";
    case Type::Keys:
      return "array";
  }
  return "value";
}

bool has_type(const Json& value, Type type) {
  switch (type) {
    case Type::String:
      return value.is_string();
    case Type::Integer:
      return value.is_number_integer();
    case Type::Boolean:
      return value.is_boolean();
    case Type::Keys:
      return value.is_array();
  }
  return false;
}

Json nothing() { return Json::object(); }

devices::KeyCode key_of(const Json& value) {
  if (!value.is_object() || !value.contains("type") || !value.contains("data")) {
    throw QmpError("Parameter 'keys' needs objects with 'type' and 'data'");
  }
  const Json& data = value["data"];
  std::optional<devices::KeyCode> key;
  if (value["type"] == "qcode" && data.is_string()) key = devices::key_from_name(data.get<std::string>());
  if (value["type"] == "number" && data.is_number_unsigned()) key = key_from_scan_code(data.get<uint64_t>());
  if (!key) throw QmpError(fmt::format("Parameter 'keys' does not accept value {}", data.dump()));
  return *key;
}

}  // namespace

Json qmp_version() {
  return {{"qemu", {{"micro", kQmpMicro}, {"minor", kQmpMinor}, {"major", kQmpMajor}}},
          {"package", "Calco " CALCO_VERSION}};
}

std::span<const QmpCommands::Command> QmpCommands::commands() {
  static constexpr Command kCommands[] = {
      {"qmp_capabilities", {}, false, &QmpCommands::qmp_capabilities},
      {"query-version", {}, true, &QmpCommands::query_version, true},
      {"query-status", {}, true, &QmpCommands::query_status, true},
      {"query-name", {}, true, &QmpCommands::query_name, true},
      {"query-cpus-fast", {}, true, &QmpCommands::query_processors},
      {"query-chardev", {}, true, &QmpCommands::query_character_devices},
      {"query-commands", {}, true, &QmpCommands::query_commands, true},
      {"query-qmp-schema", {}, true, &QmpCommands::query_schema},
      {"x-query-jit", {}, true, &QmpCommands::query_translator},
      {"stop", {}, false, &QmpCommands::stop},
      {"cont", {}, false, &QmpCommands::resume},
      {"system_reset", {}, false, &QmpCommands::system_reset},
      {"system_powerdown", {}, false, &QmpCommands::system_powerdown},
      {"quit", {}, false, &QmpCommands::quit},
      {"human-monitor-command", kHumanCommand, true, &QmpCommands::human_command},
      {"inject-nmi", {}, false, &QmpCommands::inject_nmi},
      {"send-key", kSendKey, false, &QmpCommands::send_key},
      {"dump-guest-memory", kDump, false, &QmpCommands::dump_guest_memory},
      {"x-calco-set-accel", kEngine, false, &QmpCommands::set_accelerator},
  };
  return kCommands;
}

const QmpCommands::Command& QmpCommands::find(const std::string& name) {
  const auto found = std::ranges::find(commands(), name, &Command::name);
  if (found == commands().end()) {
    throw QmpError(QmpError::Class::CommandNotFound, fmt::format("The command {} has not been found", name));
  }
  return *found;
}

Json QmpCommands::execute(const std::string& name, const Json& arguments) {
  const Command& command = find(name);
  check(command, arguments);
  return (this->*command.run)(arguments);
}

Json QmpCommands::execute_out_of_band(const std::string& name, const Json& arguments) {
  if (!find(name).allows_out_of_band) throw QmpError(fmt::format("The command {} does not support OOB", name));
  return execute(name, arguments);
}

void QmpCommands::check(const Command& command, const Json& arguments) {
  for (const auto& [key, value] : arguments.items()) {
    const auto parameter = std::ranges::find(command.parameters, key, &Parameter::name);
    if (parameter == command.parameters.end()) throw QmpError(fmt::format("Parameter '{}' is unexpected", key));
    if (!has_type(value, parameter->type)) {
      throw QmpError(fmt::format("Invalid parameter type for '{}', expected: {}", key, word_for(parameter->type)));
    }
  }
  for (const Parameter& parameter : command.parameters) {
    if (!parameter.optional && !arguments.contains(parameter.name)) {
      throw QmpError(fmt::format("Parameter '{}' is missing", parameter.name));
    }
  }
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
  for (const Command& command : commands())
    schema.add_command(command.name, command.parameters, command.returns_value, command.allows_out_of_band);
  schema.add_event("RESET", true);
  schema.add_event("SHUTDOWN", true);
  for (const std::string_view event : {"STOP", "RESUME", "POWERDOWN"}) schema.add_event(event, false);
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
  return terminal_text(commands.execute(arguments["command-line"].get<std::string>()));
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
  guest_.dump_memory(protocol.substr(kFile.size()),
                     arguments["paging"].get<bool>() ? CoreAddresses::Linear : CoreAddresses::Physical);
  return nothing();
}

}  // namespace calco::machine
