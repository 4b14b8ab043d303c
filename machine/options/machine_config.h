// What the command line asks for, as plain data. Nothing of the machine exists yet when this does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/host/character_options.h"
#include "jit/runtime/jit.h"

namespace calco::machine {

// Which interrupt controllers are the kernel's under KVM: none; the local APICs; these, the I/O APIC, the 8259s and the
// 8254.
enum class KernelIrqchip : uint8_t { Off, Split, On };

// -accel: an engine that may execute guest instructions.
struct AcceleratorOptions {
  std::string name;                           // interp, jit, tcg, kvm or auto
  std::optional<KernelIrqchip> irqchip = {};  // not given: Off (docs/kvm.md says why)
  jit::JitOptions jit = {};
  std::string report = {};  // file for the translator's statistics; empty: none
};

// How the processors hang together (-smp). sockets * cores * threads == maximum.
struct ProcessorTopology {
  unsigned processors = 1;  // present at power-on, 1 to 16
  unsigned maximum = 1;     // what the firmware is told may ever be there
  unsigned sockets = 1;
  unsigned cores = 1;    // per socket
  unsigned threads = 1;  // per core
};

// -device isa-debug-exit: a write of `value` ends the process with status value << 1 | 1.
struct DebugExitOptions {
  uint16_t base = 0x501;  // I/O port
  uint16_t size = 2;      // ports
};

// -debugcon, or -device isa-debugcon: bytes written to the ports go to a character back end.
struct DebugConsoleOptions {
  devices::CharacterSpec backend;
  std::vector<uint16_t> ports;  // each shows the same console
};

// -device pci-testdev.
struct PciTestDeviceOptions {
  uint64_t memory_bar_size = 0;  // bytes of the extra 64-bit BAR, 0: none
};

// -fw_cfg: a file for the guest from the user.
struct FirmwareFileOptions {
  std::string name;
  std::string file;    // host file with the contents; empty: `string` is the contents
  std::string string;  // without a terminating zero
};

// -monitor, -qmp, -mon.
struct MonitorOptions {
  std::string option;  // as the user wrote it, for messages
  devices::CharacterSpec backend;
  bool control = false;  // QMP instead of the human monitor
  bool pretty = false;   // QMP with line breaks
};

// -boot.
struct BootOptions {
  std::string order;                  // drive letters, for example "cad"
  std::optional<bool> menu;           // interactive boot menu
  std::optional<uint16_t> menu_wait;  // ms that the menu's prompt (splash) stays
  std::optional<int> reboot_timeout;  // ms until firmware that found nothing to boot reboots, -1: never
  bool strict = false;                // do not try devices that are not in the order
};

// -rtc base=.
enum class RtcBase : uint8_t { Utc, LocalTime, Fixed };

struct MachineConfig {
  std::string name;                              // -name
  std::vector<AcceleratorOptions> accelerators;  // the first that works is taken
  std::string cpu = "qemu64";                    // -cpu: model and features, checked by cpu::CpuModel
  ProcessorTopology topology;
  uint64_t memory_size = 128ull << 20;  // bytes

  std::vector<std::string> firmware_directories;  // -L, searched first
  std::string firmware;                           // -bios; empty: the default name
  std::string kernel;                             // -kernel
  std::string initrd;                             // -initrd; for multiboot kernels a comma-separated list of modules
  std::string command_line;                       // -append

  bool acpi = true;
  bool hpet = true;
  bool smm = true;
  bool graphics = true;  // false: -nographic, the firmware's console is the first serial port

  std::vector<devices::CharacterSpec> serial;             // one a port, COM1 first; None leaves the port out
  std::vector<devices::CharacterSpec> character_devices;  // -chardev: what others name
  std::vector<MonitorOptions> monitors;
  std::optional<DebugConsoleOptions> debug_console;
  std::optional<DebugExitOptions> debug_exit;
  bool pc_test_device = false;
  std::vector<PciTestDeviceOptions> pci_test_devices;
  std::vector<FirmwareFileOptions> firmware_files;
  BootOptions boot;
  RtcBase rtc_base = RtcBase::Utc;
  int64_t rtc_start = 0;  // seconds since 1970 UTC, for RtcBase::Fixed

  bool reboot = true;         // false: -no-reboot, a reset ends the process
  bool shutdown = true;       // false: -no-shutdown, power-off stops the guest but keeps the process
  bool start_running = true;  // false: -S
  std::optional<devices::CharacterSpec> debugger;  // -gdb, -s
  uint32_t log_items = 0;                          // set of LogItem
  std::string log_file;                            // -D; empty: standard error
  bool perf_map = false;                           // -perfmap
  std::string process_id_file;                     // -pidfile

  std::vector<std::string> notes;  // lines for standard error that are no errors
};

}  // namespace calco::machine
