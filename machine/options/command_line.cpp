#include "machine/options/command_line.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "machine/core/option_error.h"
#include "machine/options/draft.h"

namespace calco::machine {
namespace {

// A row of the table below: an option, the argument it takes (empty: none) and the line for -help.
struct Option {
  std::string_view name;
  std::string_view argument;
  std::string_view help;
  OptionReader read;
};

// Options whose argument is stored as it is.
template <std::string MachineConfig::* kMember>
void read_text(Draft& draft, const std::string& option, std::string_view value) {
  if (value.empty()) throw OptionError(option, "the name is empty");
  draft.config.*kMember = value;
}
void read_command_line(Draft& draft, const std::string&, std::string_view value) { draft.config.command_line = value; }
void read_directory(Draft& draft, const std::string&, std::string_view value) {
  draft.config.firmware_directories.emplace_back(value);
}

// Options without argument that set a switch.
template <bool MachineConfig::* kMember, bool kValue>
void read_flag(Draft& draft, const std::string&, std::string_view) {
  draft.config.*kMember = kValue;
}
void read_default_debugger(Draft& draft, const std::string& option, std::string_view) {
  read_debugger(draft, option, "tcp::1234");
}
void read_no_defaults(Draft& draft, const std::string&, std::string_view) { draft.no_defaults = true; }
void read_nographic(Draft& draft, const std::string&, std::string_view) {
  draft.config.graphics = false;
  draft.display_given = true;
}
void read_enable_kvm(Draft& draft, const std::string&, std::string_view) {
  draft.config.accelerators.push_back({.name = "kvm"});
}

void read_version(Draft& draft, const std::string&, std::string_view) { draft.answer = "Calco " CALCO_VERSION "\n"; }
void read_help(Draft& draft, const std::string& option, std::string_view value);

constexpr auto kOptions = std::to_array<Option>({
    {"h", "", "this text", read_help},
    {"help", "", "this text", read_help},
    {"version", "", "the version", read_version},
    {"M", "pc[,accel=,smm=,hpet=,acpi=,graphics=]", "the machine; 'help' lists them", read_machine},
    {"machine", "pc[,...]", "the same", read_machine},
    {"accel", "interp|jit|kvm|auto[,setting=value...]", "the engine that runs guest code", read_accelerator},
    {"enable-kvm", "", "the same as -accel kvm", read_enable_kvm},
    {"cpu", "model[,+feature][,-feature]", "the processor model", read_cpu},
    {"smp", "[cpus=]n[,maxcpus=,sockets=,cores=,threads=]", "number of processors, 1 to 16", read_processors},
    {"m", "[size=]n[M|G]", "memory size, in MiB where no unit is given", read_memory},
    {"name", "text", "a name for the machine", read_name},
    {"L", "directory", "where firmware is searched first", read_directory},
    {"bios", "file", "firmware image", read_text<&MachineConfig::firmware>},
    {"kernel", "file", "boot this bzImage or multiboot kernel", read_text<&MachineConfig::kernel>},
    {"initrd", "file", "initial RAM disk; for multiboot 'file arguments,file2 arguments'",
     read_text<&MachineConfig::initrd>},
    {"append", "text", "the kernel's command line", read_command_line},
    {"boot", "[order=drives][,menu=on|off][,strict=][,reboot-timeout=ms]", "boot order", read_boot},
    {"nographic", "", "no screen; first serial port and keys on this terminal", read_nographic},
    {"display", "none", "no screen", read_display},
    {"vnc", "none", "no VNC server", read_vnc},
    {"vga", "none", "no display adapter", read_vga},
    {"serial", "stdio|file:|null|pty|mon:stdio|unix:|tcp:|none", "where the next serial port leads (up to 4)",
     read_serial},
    {"parallel", "none", "no parallel port", read_parallel},
    {"monitor", "stdio|unix:|tcp:|chardev:id|none", "where the monitor's commands are typed", read_monitor},
    {"qmp", "unix:|tcp:|stdio|chardev:id|none", "the monitor for programs (QMP)", read_qmp},
    {"qmp-pretty", "unix:|tcp:|stdio|chardev:id|none", "the same with line breaks", read_qmp},
    {"mon", "[chardev=]id[,mode=readline|control][,pretty=on|off]", "a monitor on a -chardev", read_mon},
    {"chardev", "backend,id=name[,...]", "a character back end to be named by other options", read_character_device},
    {"debugcon", "backend", "debug console at ports 0x402 and 0xe9", read_debug_console},
    {"device", "name[,property=value...]", "plug a device; 'help' lists them", read_device},
    {"global", "device.property=value", "default of a device's property", read_global},
    {"fw_cfg", "[name=]name,file=file|string=text", "a file for the firmware configuration device", read_firmware_file},
    {"nic", "none", "no network", read_network},
    {"net", "none", "no network", read_network},
    {"no-user-config", "", "as always: there are no configuration files",
     [](Draft&, const std::string&, std::string_view) {}},
    {"nodefaults", "", "only the devices that are named", read_no_defaults},
    {"no-hpet", "", "no high precision event timer", read_flag<&MachineConfig::hpet, false>},
    {"no-acpi", "", "no ACPI tables", read_flag<&MachineConfig::acpi, false>},
    {"no-reboot", "", "end instead of resetting", read_flag<&MachineConfig::reboot, false>},
    {"no-shutdown", "", "stay when the guest powers off", read_flag<&MachineConfig::shutdown, false>},
    {"S", "", "do not start the processors; gdb can", read_flag<&MachineConfig::start_running, false>},
    {"gdb", "tcp:host:port|unix:path|chardev:id|none", "wait there for gdb", read_debugger},
    {"s", "", "the same as -gdb tcp::1234", read_default_debugger},
    {"rtc", "[base=utc|localtime|date]", "what the clock shows at power-on", read_rtc},
    {"pidfile", "file", "write the process id there", read_text<&MachineConfig::process_id_file>},
    {"perfmap", "", "name translated code for perf in /tmp/perf-PID.map", read_flag<&MachineConfig::perf_map, true>},
    {"d", "item[,item...]", "what to log; 'help' lists the items", read_log_items},
    {"D", "file", "where to log", read_text<&MachineConfig::log_file>},
});

void read_help(Draft& draft, const std::string&, std::string_view) {
  std::string text = "usage: calco [options]\nThe options are QEMU's.\n\n";
  for (const Option& option : kOptions) {
    text += fmt::format("  {:<34} {}\n", fmt::format("-{} {}", option.name, option.argument), option.help);
  }
  text += "\nTerminal keys with -nographic: Ctrl-A x ends Calco, Ctrl-A h lists the others.\n";
  draft.answer = std::move(text);
}

const Option* find_option(std::string_view name) {
  const auto found = std::ranges::find(kOptions, name, &Option::name);
  return found == kOptions.end() ? nullptr : &*found;
}

[[noreturn]] void refuse(const std::string& word) {
  if (word.starts_with('-')) throw OptionError(word, "unknown option; 'calco -help' lists them");
  throw OptionError(word, "Calco has no disks yet; it boots with -kernel FILE");
}

}  // namespace

CommandLine parse_command_line(std::span<const char* const> arguments) {
  Draft draft;
  for (size_t i = 0; i < arguments.size() && !draft.answer; ++i) {
    const std::string word = arguments[i];
    if (word.size() < 2 || word[0] != '-') refuse(word);
    const Option* option = find_option(std::string_view(word).substr(word.starts_with("--") ? 2 : 1));
    if (option == nullptr) refuse(word);
    std::string_view value;
    if (!option->argument.empty()) {
      if (i + 1 == arguments.size()) throw OptionError(word, fmt::format("takes an argument: {}", option->argument));
      value = arguments[++i];
    }
    option->read(draft, word, value);
  }
  if (!draft.answer) {
    complete_accelerators(draft);
    complete_devices(draft);
    check_boot(draft);
  }
  return {std::move(draft.config), std::move(draft.answer)};
}

}  // namespace calco::machine
