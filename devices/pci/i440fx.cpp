#include "devices/pci/i440fx.h"

#include <algorithm>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

constexpr unsigned kDramRowBoundary7 = 0x57;
constexpr unsigned kPam0 = 0x59;
constexpr unsigned kPamCount = 7;
constexpr unsigned kSmram = 0x72;

// PAM attributes (82441FX, 3.2.18).
constexpr uint32_t kReadEnable = 1;
constexpr uint32_t kWriteEnable = 2;

// SMRAM bits (82441FX, 3.2.21).
constexpr uint8_t kSmramOpen = 1u << 6;
constexpr uint8_t kSmramClosed = 1u << 5;
constexpr uint8_t kSmramLock = 1u << 4;
constexpr uint8_t kSmramEnable = 1u << 3;
constexpr uint8_t kSmramBaseA0000 = 2;  // C_BASE_SEG, fixed

constexpr uint64_t kSmramAddress = 0xA0000;
constexpr uint64_t kSmramSize = 0x20000;
constexpr int kShadowPriority = 2;  // above ROMs and the VGA window

constexpr uint64_t kRowUnit = 8ull << 20;  // a row boundary counts 8 MiB

}  // namespace

uint64_t I440fx::WriteOnlyShadow::read(uint64_t offset, [[maybe_unused]] unsigned size) {
  return memory_.read_byte_below(region_, address_ + offset);
}

void I440fx::WriteOnlyShadow::write(uint64_t offset, unsigned size, uint64_t value) {
  GuestMemory& ram = memory_.memory();
  ram.before_store(ram_offset_ + offset, size);
  ram.data()[ram_offset_ + offset] = static_cast<uint8_t>(value);
}

I440fx::I440fx(const PciBuses& buses, uint64_t ram_offset, uint64_t ram_size, Log& log)
    : PciDevice("i440fx", {.vendor = 0x8086, .device = 0x1237, .revision = 0x02, .class_code = 0x060000}, buses),
      log_(log),
      ram_offset_(ram_offset) {
  const auto rows = static_cast<uint32_t>(std::min<uint64_t>(ram_size / kRowUnit, 255));
  define(kDramRowBoundary7, 1, rows, 0xFF);
  for (unsigned i = 0; i < kPamCount; ++i) define(kPam0 + i, 1, 0, 0x33);
  define(kSmram, 1, kSmramBaseA0000, kSmramOpen | kSmramClosed | kSmramLock | kSmramEnable);

  add_segment(kPam0, 4, 0xF0000, 0x10000);
  for (unsigned i = 0; i < 12; ++i) add_segment(kPam0 + 1 + i / 2, i % 2 * 4, 0xC0000 + i * 0x4000, 0x4000);
  smram_ = memory().add_memory("smram", kSmramAddress, kSmramSize, ram_offset_ + kSmramAddress, true, kShadowPriority);
  smram_register_ = static_cast<uint8_t>(config(kSmram, 1));
  update_layout();
}

I440fx::~I440fx() = default;

void I440fx::add_segment(unsigned config_offset, unsigned shift, uint64_t address, uint64_t size) {
  auto shadow = std::make_unique<WriteOnlyShadow>(memory(), address, ram_offset_ + address);
  const auto ram = memory().add_memory("shadow RAM", address, size, ram_offset_ + address, true, kShadowPriority);
  const auto write_only = memory().add_window("write-only shadow RAM", address, size, *shadow, kShadowPriority);
  shadow->set_region(write_only);
  segments_.push_back({config_offset, shift, ram, write_only});
  shadows_.push_back(std::move(shadow));
}

void I440fx::reset() {
  PciDevice::reset();
  smram_register_ = static_cast<uint8_t>(config(kSmram, 1));
  update_layout();
}

void I440fx::serialize(Archive& archive) {
  PciDevice::serialize(archive);
  if (!archive.loading()) return;
  smram_register_ = static_cast<uint8_t>(config(kSmram, 1));
  update_layout();
}

void I440fx::config_written(unsigned offset, unsigned size) {
  if (offset <= kSmram && offset + size > kSmram) write_smram_register();
  update_layout();
}

// Setting the lock closes SMRAM and freezes the register, but for D_CLS, until reset.
void I440fx::write_smram_register() {
  auto written = static_cast<uint8_t>(config(kSmram, 1));
  if ((smram_register_ & kSmramLock) != 0) {
    written = static_cast<uint8_t>((smram_register_ & ~kSmramClosed) | (written & kSmramClosed));
  }
  if ((written & kSmramLock) != 0) written = static_cast<uint8_t>(written & ~kSmramOpen);
  if ((written & kSmramClosed) != 0) {
    log_.print(LogItem::Unimplemented, "i440fx: SMRAM closed to data (D_CLS): data accesses still reach it");
  }
  smram_register_ = written;
  set_config(kSmram, 1, written);
}

void I440fx::update_layout() {
  for (const Segment& segment : segments_) {
    const uint32_t attributes = config(segment.config_offset, 1) >> segment.shift;
    const bool readable = (attributes & kReadEnable) != 0;
    const bool writable = (attributes & kWriteEnable) != 0;
    memory().set_enabled(segment.ram, readable);
    memory().set_writable(segment.ram, writable);
    memory().set_enabled(segment.write_only, writable && !readable);
  }
  const bool open = (smram_register_ & kSmramOpen) != 0;
  memory().set_enabled(smram_, open || (smram_register_ & kSmramEnable) != 0);
  memory().set_visibility(smram_, open ? MemoryMap::Visibility::Always : MemoryMap::Visibility::OnlyInSmm);
  memory().commit();
}

}  // namespace calco::devices
