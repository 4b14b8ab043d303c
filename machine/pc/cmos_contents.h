// What the PC's firmware finds in CMOS memory at power-on.
#pragma once

#include <cstdint>

#include "devices/timer/cmos_rtc.h"
#include "machine/firmware/platform.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

// Memory sizes, equipment, boot order and number of processors, at the places where SeaBIOS reads them.
void fill_cmos(devices::CmosRtc& cmos, const MachineConfig& config, const MemoryLayout& memory);

// The clock's time at power-on: seconds since 1970 UTC as `-rtc base=` wants the clock to show them.
int64_t rtc_start_time(const MachineConfig& config);

}  // namespace calco::machine
