// Kernels in the Linux boot protocol's format (bzImage, zImage, memtest86+).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "machine/boot/boot_plan.h"

namespace calco::machine {

// Prepares `kernel` by Linux' Documentation/x86/boot.rst. `low_memory` is the number of bytes of RAM below 4 GiB.
// Throws OptionError naming -kernel, -initrd, -append or -m for what cannot work.
BootPlan plan_linux_boot(const NamedImage& kernel, const std::optional<NamedImage>& initrd,
                         std::string_view command_line, uint64_t low_memory);

// Whether the image carries the protocol's signature.
bool is_linux_image(const NamedImage& kernel);

}  // namespace calco::machine
