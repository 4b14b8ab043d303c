// The Differentiated System Description Table: the board as the operating system's ACPI driver sees it.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/firmware/platform.h"

namespace calco::machine {

// The definition block's AML, without the table header.
std::vector<uint8_t> build_dsdt_body(const Platform& platform);

}  // namespace calco::machine
