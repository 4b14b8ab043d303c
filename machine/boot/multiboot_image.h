// Kernels by the Multiboot Specification 0.6.96 (multiboot 1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "machine/boot/boot_plan.h"

namespace calco::machine {

// A module: its file and the string that the kernel is given with it (file name and arguments).
struct MultibootModule {
  NamedImage image;
  std::string command_line;
};

// Loads an ELF32 or, with flag bit 16, an "a.out kludge" image, and lays out modules and information structure.
// `low_memory` is the number of bytes of RAM below 4 GiB. Throws OptionError naming -kernel or -initrd.
BootPlan plan_multiboot(const NamedImage& kernel, const std::vector<MultibootModule>& modules,
                        std::string_view command_line, uint64_t low_memory);

// Whether a multiboot header lies in the first 8 KiB (3.1).
bool is_multiboot_image(const NamedImage& kernel);

}  // namespace calco::machine
