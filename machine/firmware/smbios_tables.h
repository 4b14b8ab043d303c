// What the System Management BIOS says of the machine (DMTF DSP0134, version 2.8).
#pragma once

#include <cstdint>
#include <vector>

#include "machine/firmware/platform.h"

namespace calco::machine {

// Contents of fw_cfg files. The firmware adds the structure that describes itself (type 0), places both and corrects
// the anchor.
struct SmbiosFiles {
  std::vector<uint8_t> anchor;  // etc/smbios/smbios-anchor
  std::vector<uint8_t> tables;  // etc/smbios/smbios-tables
};

SmbiosFiles build_smbios_files(const Platform& platform);

}  // namespace calco::machine
