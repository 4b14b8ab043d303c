// Everything that the firmware finds in the configuration device at power-on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "devices/isa/fw_cfg.h"
#include "machine/boot/boot_plan.h"
#include "machine/firmware/platform.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

// A file that the user gives with -fw_cfg, already read.
struct FirmwareFile {
  std::string name;
  std::vector<uint8_t> bytes;
};

// Reads the -fw_cfg files. Throws OptionError.
std::vector<FirmwareFile> read_firmware_files(const MachineConfig& config);

// Fills `fw_cfg` with what SeaBIOS, OVMF and Linux read from QEMU's: tables, memory map, kernel, settings. Throws
// OptionError where a user's file takes a name that is in use.
void fill_fw_cfg(devices::FwCfg& fw_cfg, const MachineConfig& config, const Platform& platform,
                 const std::optional<BootPlan>& boot, std::vector<FirmwareFile> user_files);

}  // namespace calco::machine
