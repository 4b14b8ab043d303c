// A command line half read, and the functions that read one option each into it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/options/machine_config.h"

namespace calco::machine {

// What later options or the end of the command line still decide over.
struct Draft {
  MachineConfig config;
  std::optional<std::string> answer;     // help text asked for
  std::optional<KernelIrqchip> irqchip;  // -machine kernel_irqchip=, for accelerators that say nothing
  bool display_given = false;            // -nographic, -display or -vga: the user knows that there is no window
  bool no_defaults = false;              // -nodefaults
  bool monitor_given = false;            // -monitor or -mon: no default monitor
  std::optional<devices::CharacterSpec> debug_console;  // -debugcon
  std::optional<uint16_t> debug_console_port;           // -global isa-debugcon.iobase=
};

// Each reads the argument of the option that `option` names, as the user wrote it, or throws OptionError.
using OptionReader = void (*)(Draft& draft, const std::string& option, std::string_view value);

// processor_options.cpp: what the machine is made of.
void read_machine(Draft& draft, const std::string& option, std::string_view value);
void read_accelerator(Draft& draft, const std::string& option, std::string_view value);
void read_cpu(Draft& draft, const std::string& option, std::string_view value);
void read_processors(Draft& draft, const std::string& option, std::string_view value);
void read_memory(Draft& draft, const std::string& option, std::string_view value);
// Completes the -accel options once all are known.
void complete_accelerators(Draft& draft);

// device_options.cpp: what is plugged into it.
void read_serial(Draft& draft, const std::string& option, std::string_view value);
void read_parallel(Draft& draft, const std::string& option, std::string_view value);
void read_monitor(Draft& draft, const std::string& option, std::string_view value);
void read_qmp(Draft& draft, const std::string& option, std::string_view value);
void read_mon(Draft& draft, const std::string& option, std::string_view value);
void read_character_device(Draft& draft, const std::string& option, std::string_view value);
void read_debug_console(Draft& draft, const std::string& option, std::string_view value);
void read_debugger(Draft& draft, const std::string& option, std::string_view value);
void read_device(Draft& draft, const std::string& option, std::string_view value);
void read_global(Draft& draft, const std::string& option, std::string_view value);
void read_display(Draft& draft, const std::string& option, std::string_view value);
void read_vnc(Draft& draft, const std::string& option, std::string_view value);
void read_vga(Draft& draft, const std::string& option, std::string_view value);
void read_network(Draft& draft, const std::string& option, std::string_view value);
// Fills in what was not said: serial ports, the debug console's ports.
void complete_devices(Draft& draft);

// boot_options.cpp: what it boots and how the process behaves.
void read_firmware_file(Draft& draft, const std::string& option, std::string_view value);
void read_boot(Draft& draft, const std::string& option, std::string_view value);
void read_rtc(Draft& draft, const std::string& option, std::string_view value);
void read_log_items(Draft& draft, const std::string& option, std::string_view value);
void read_name(Draft& draft, const std::string& option, std::string_view value);
// What contradicts itself: -initrd or -append without -kernel.
void check_boot(const Draft& draft);

}  // namespace calco::machine
