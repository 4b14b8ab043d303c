// All that can be wrong with a command line is found here, before anything of the machine exists.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/system/cpu_model.h"
#include "machine/boot/boot_plan.h"
#include "machine/firmware/firmware_contents.h"
#include "machine/firmware/platform.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

// A configuration with its files read and checked: what the builder needs.
struct PreparedPc {
  MachineConfig config;
  MemoryLayout memory;
  cpu::CpuModel model;
  std::vector<uint8_t> firmware;  // a multiple of 64 KiB, mapped to end at 4 GiB
  std::optional<BootPlan> boot;
  std::vector<FirmwareFile> firmware_files;
};

// Reads what the configuration names. Throws OptionError.
PreparedPc prepare_pc(MachineConfig config);

}  // namespace calco::machine
