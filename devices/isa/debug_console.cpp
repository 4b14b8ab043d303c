#include "devices/isa/debug_console.h"

#include "machine/core/archive.h"

namespace calco::devices {

void DebugConsole::serialize(Archive& archive) { archive.section(name()); }

uint64_t DebugConsole::read([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size) { return kPresent; }

void DebugConsole::write([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  sink_(static_cast<uint8_t>(value));
}

}  // namespace calco::devices
