// The ACPI tables of the `pc` machine. Source: ACPI 6.4, 5.2; table revisions as firmware of the board's time has them.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/firmware/platform.h"

namespace calco::machine {

// Contents of the fw_cfg files from which the firmware builds the tables in guest memory.
struct AcpiFiles {
  std::vector<uint8_t> tables;        // etc/acpi/tables
  std::vector<uint8_t> root_pointer;  // etc/acpi/rsdp
  std::vector<uint8_t> loader;        // etc/table-loader
};

AcpiFiles build_acpi_files(const Platform& platform);

}  // namespace calco::machine
