// -serial, -chardev, -debugcon, -device and the options that say what is not there.
#include <algorithm>

#include "machine/core/option_error.h"
#include "machine/options/draft.h"
#include "machine/options/option_values.h"

namespace calco::machine {
namespace {

using devices::CharacterSpec;

constexpr size_t kSerialPorts = 4;
// Where firmware and kernels look for a debug console: SeaBIOS at the first, Bochs' convention is the second.
constexpr uint16_t kFirmwareDebugPort = 0x402;
constexpr uint16_t kBochsDebugPort = 0xE9;

constexpr std::string_view kDevices =
    "isa-debug-exit[,iobase=port,iosize=n]   ends Calco with status value*2+1\n"
    "isa-debugcon,chardev=id[,iobase=port]   debug console\n"
    "isa-serial[,chardev=id]                 the next serial port\n"
    "pc-testdev                              test device of kvm-unit-tests\n"
    "pci-testdev[,membar=size]               test device of kvm-unit-tests\n";

void only_none(const std::string& option, std::string_view value, std::string_view what) {
  if (value != "none") {
    throw OptionError(option, fmt::format("'{}' is not supported: there is no {} yet; use none", value, what));
  }
}

uint16_t take_port(OptionList& list, std::string_view key, uint16_t otherwise) {
  return static_cast<uint16_t>(list.take_number(key, 0xFFFF).value_or(otherwise));
}

CharacterSpec leading_to(CharacterSpec::Target target) {
  CharacterSpec spec;
  spec.target = std::move(target);
  return spec;
}

CharacterSpec take_chardev(OptionList& list) {
  const auto id = list.take("chardev");
  if (!id) throw OptionError(list.option(), "chardev= is missing; it names a -chardev");
  return leading_to(CharacterSpec::Reference{*id});
}

void add_serial(Draft& draft, const std::string& option, CharacterSpec backend) {
  if (draft.config.serial.size() == kSerialPorts) {
    throw OptionError(option, fmt::format("a PC has {} serial ports at most", kSerialPorts));
  }
  draft.config.serial.push_back(std::move(backend));
}

void add_monitor(Draft& draft, MonitorOptions monitor) {
  if (std::holds_alternative<CharacterSpec::None>(monitor.backend.target)) return;
  draft.config.monitors.push_back(std::move(monitor));
}

void set_debug_console(Draft& draft, const std::string& option, CharacterSpec backend) {
  if (draft.debug_console) throw OptionError(option, "there is a debug console already");
  draft.debug_console = std::move(backend);
}

}  // namespace

void read_serial(Draft& draft, const std::string& option, std::string_view value) {
  add_serial(draft, option, devices::parse_character_device(option, value));
}

void read_parallel(Draft&, const std::string& option, std::string_view value) {
  only_none(option, value, "parallel port");
}

void read_monitor(Draft& draft, const std::string& option, std::string_view value) {
  draft.monitor_given = true;
  add_monitor(draft, {option, devices::parse_character_device(option, value), false, false});
}

void read_qmp(Draft& draft, const std::string& option, std::string_view value) {
  add_monitor(draft, {option, devices::parse_character_device(option, value), true, option.ends_with("-pretty")});
}

void read_mon(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value, "chardev");
  MonitorOptions monitor{option, take_chardev(list), false, list.take_switch("pretty").value_or(false)};
  const std::string mode = list.take("mode").value_or("readline");
  if (mode != "readline" && mode != "control") {
    throw OptionError(option, fmt::format("mode='{}' is none of readline and control", mode));
  }
  monitor.control = mode == "control";
  draft.monitor_given |= !monitor.control;
  list.finish("chardev, mode and pretty");
  add_monitor(draft, std::move(monitor));
}

void read_network(Draft&, const std::string& option, std::string_view value) {
  only_none(option, value, "network card");
}
void read_display(Draft& draft, const std::string& option, std::string_view value) {
  only_none(option, value, "window");
  draft.display_given = true;
}
void read_vnc(Draft& draft, const std::string& option, std::string_view value) {
  only_none(option, value, "VNC server");
  draft.display_given = true;
}
void read_vga(Draft& draft, const std::string& option, std::string_view value) {
  only_none(option, value, "display adapter");
  draft.display_given = true;
}

void read_character_device(Draft& draft, const std::string& option, std::string_view value) {
  CharacterSpec backend = devices::parse_chardev(value);
  for (const CharacterSpec& other : draft.config.character_devices) {
    if (other.id == backend.id) throw OptionError(option, fmt::format("the id '{}' is taken already", backend.id));
  }
  draft.config.character_devices.push_back(std::move(backend));
}

void read_debug_console(Draft& draft, const std::string& option, std::string_view value) {
  CharacterSpec backend = devices::parse_character_device(option, value);
  if (!std::holds_alternative<CharacterSpec::None>(backend.target))
    set_debug_console(draft, option, std::move(backend));
}

// What a client connects to is a server, that a guest need not wait for: gdb may come and go.
void read_debugger(Draft& draft, const std::string& option, std::string_view value) {
  CharacterSpec backend = devices::parse_character_device(option, value);
  draft.config.debugger.reset();
  if (std::holds_alternative<CharacterSpec::None>(backend.target)) return;
  if (auto* socket = std::get_if<devices::SocketOptions>(&backend.target)) {
    socket->server = true;
    socket->wait = false;
    socket->no_delay = true;
  }
  draft.config.debugger = std::move(backend);
}

void read_device(Draft& draft, const std::string& option, std::string_view value) {
  if (value == "help" || value == "?") {
    draft.answer = kDevices;
    return;
  }
  OptionList list(option, value, "driver");
  const std::string driver = list.take("driver").value_or("");
  const std::string about = option + ' ' + driver;
  list.take("id");
  if (driver == "isa-debug-exit") {
    const uint16_t base = take_port(list, "iobase", 0x501);
    const uint64_t size = list.take_number("iosize", 4).value_or(2);
    if (size == 0) throw OptionError(about, "iosize is 0; 1, 2 and 4 are possible");
    draft.config.debug_exit = DebugExitOptions{base, static_cast<uint16_t>(size)};
    list.finish("iobase and iosize");
  } else if (driver == "isa-debugcon") {
    draft.debug_console_port = take_port(list, "iobase", draft.debug_console_port.value_or(kBochsDebugPort));
    set_debug_console(draft, about, take_chardev(list));
    list.take("readback");
    list.finish("chardev and iobase");
  } else if (driver == "isa-serial") {
    add_serial(draft, about, take_chardev(list));
    list.finish("chardev");
  } else if (driver == "pc-testdev") {
    draft.config.pc_test_device = true;
    list.finish("no properties");
  } else if (driver == "pci-testdev") {
    const std::string size = list.take("membar").value_or("0");
    const auto bytes = parse_size(size, 1);
    if (!bytes || (*bytes & (*bytes - 1)) != 0) {
      throw OptionError(about, fmt::format("membar='{}' is not a power of two", size));
    }
    draft.config.pci_test_devices.push_back({*bytes});
    list.take("addr");
    list.finish("membar");
  } else {
    throw OptionError(option, fmt::format("'{}' is no device that Calco has; '-device help' lists them", driver));
  }
}

void read_global(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value);
  if (const auto port = list.take_number("isa-debugcon.iobase", 0xFFFF)) {
    draft.debug_console_port = static_cast<uint16_t>(*port);
  }
  // QEMU's switches for suspend: Calco never offers it.
  list.take("PIIX4_PM.disable_s3");
  list.take("PIIX4_PM.disable_s4");
  list.finish("isa-debugcon.iobase");
}

void complete_devices(Draft& draft) {
  MachineConfig& config = draft.config;
  if (config.serial.empty() && !draft.no_defaults) {
    if (!config.graphics) {
      // The keys of Ctrl-A stay even where the monitor is elsewhere.
      config.serial.push_back(devices::parse_character_device("-serial", "mon:stdio"));
      config.serial.back().with_monitor = !draft.monitor_given;
    } else {
      config.serial.push_back(leading_to(CharacterSpec::Null{}));
      if (!draft.display_given) {
        config.notes.emplace_back("there is no screen yet; -nographic shows the first serial port here");
      }
    }
  }
  if (!draft.debug_console) return;
  std::vector<uint16_t> ports = {kFirmwareDebugPort, kBochsDebugPort};
  if (draft.debug_console_port) ports = {*draft.debug_console_port};
  config.debug_console = DebugConsoleOptions{*draft.debug_console, std::move(ports)};
}

}  // namespace calco::machine
