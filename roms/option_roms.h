// The option ROMs that Calco carries, as built from the assembly sources beside this file.
#pragma once

#include <cstdint>
#include <span>

namespace calco::roms {

// Boots a Linux image from fw_cfg's kernel items.
std::span<const uint8_t> linuxboot();
// Boots a multiboot 1 kernel from the same items.
std::span<const uint8_t> multiboot();

}  // namespace calco::roms
