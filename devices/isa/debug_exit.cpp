#include "devices/isa/debug_exit.h"

#include "machine/core/archive.h"

namespace calco::devices {

void DebugExit::serialize(Archive& archive) { archive.section(name()); }

uint64_t DebugExit::read([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size) { return 0; }

void DebugExit::write([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  exit_(static_cast<int>(static_cast<uint32_t>(value) << 1 | 1));
}

}  // namespace calco::devices
