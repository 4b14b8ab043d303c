// -kernel, -initrd and -append, from files to a plan for the option ROMs.
#pragma once

#include <cstdint>
#include <optional>

#include "machine/boot/boot_plan.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

// Reads and checks the files; null where no kernel was asked for. `low_memory` is the number of bytes of RAM below
// 4 GiB. Throws OptionError naming the option at fault.
std::optional<BootPlan> load_kernel(const MachineConfig& config, uint64_t low_memory);

}  // namespace calco::machine
