#include "devices/isa/pc_testdev.h"

#include <cstring>
#include <span>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

uint64_t load(std::span<const uint8_t> bytes, uint64_t offset, unsigned size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return floating_bus(size);
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, size);
  return value;
}

void store(std::span<uint8_t> bytes, uint64_t offset, unsigned size, uint64_t value) {
  if (offset > bytes.size() || size > bytes.size() - offset) return;
  std::memcpy(bytes.data() + offset, &value, size);
}

}  // namespace

void PcTestdev::reset() {
  loopback_ = {};
  memory_.assign(kMemorySize, 0);
  for (IrqLine& line : irqs_) line.lower();
}

void PcTestdev::serialize(Archive& archive) {
  archive.section(name());
  archive.field("loopback", loopback_);
  archive.field("memory", memory_);
  memory_.resize(kMemorySize);
  for (IrqLine& line : irqs_) line.set(archive.exchange("irq", line.level()));
}

uint64_t PcTestdev::read_loopback(uint64_t offset, unsigned size) { return load(loopback_, offset, size); }

void PcTestdev::write_loopback(uint64_t offset, unsigned size, uint64_t value) {
  store(loopback_, offset, size, value);
}

uint64_t PcTestdev::read_flush([[maybe_unused]] uint64_t offset, unsigned size) { return floating_bus(size); }

void PcTestdev::write_flush([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size,
                            [[maybe_unused]] uint64_t value) {}

uint64_t PcTestdev::read_irq([[maybe_unused]] uint64_t offset, unsigned size) { return floating_bus(size); }

void PcTestdev::write_irq(uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  irqs_.at(offset).set(value != 0);
}

uint64_t PcTestdev::read_memory(uint64_t offset, unsigned size) { return load(memory_, offset, size); }

void PcTestdev::write_memory(uint64_t offset, unsigned size, uint64_t value) { store(memory_, offset, size, value); }

}  // namespace calco::devices
