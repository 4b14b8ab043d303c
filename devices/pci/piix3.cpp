#include "devices/pci/piix3.h"

#include <utility>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

constexpr unsigned kRouteControl = 0x60;  // PIRQRC A to D
constexpr uint32_t kRouteDisabled = 0x80;
constexpr uint32_t kRouteIrqMask = 0x0F;
constexpr uint32_t kRoutableIrqs = 0xDEF8;  // not 0, 1, 2, 8, 13 (82371SB, 2.2.7)

// Reset control register (82371SB, 2.5.5.2).
constexpr uint8_t kSystemReset = 1u << 1;
constexpr uint8_t kResetProcessor = 1u << 2;

}  // namespace

Piix3::Piix3(const PciBuses& buses, std::array<IrqLine, kIsaIrqCount> isa_irqs, std::function<void()> request_reset,
             Log& log)
    : PciDevice("piix3", {.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100, .status = 0x0200}, buses),
      isa_irqs_(std::move(isa_irqs)),
      request_reset_(std::move(request_reset)),
      log_(log) {
  set_multifunction();
  define(0x4C, 1, 0x4D, 0xFF);      // ISA I/O recovery timer
  define(0x4E, 2, 0x0003, 0x03FF);  // X-bus chip select
  for (unsigned i = 0; i < kPirqCount; ++i) {
    define(kRouteControl + i, 1, kRouteDisabled, kRouteDisabled | kRouteIrqMask);
  }
  define(0x69, 1, 0x02, 0xFE);      // top of memory
  define(0x6A, 2, 0x0000, 0x80D4);  // miscellaneous status
  define(0x70, 1, 0x80, 0xEF);      // motherboard device IRQ route control
  define(0x76, 1, 0x0C, 0x8F);      // motherboard device DMA control
  define(0x77, 1, 0x0C, 0x8F);
  define(0x78, 2, 0x0002, 0xFFF3);      // programmable chip select
  define(0x80, 1, 0x00, 0x7F);          // APIC base address relocation
  define(0x82, 1, 0x00, 0x0F);          // deterministic latency control
  define(0xA0, 1, 0x08, 0x3F);          // SMI control
  define(0xA2, 2, 0x0000, 0x1FF);       // SMI enable
  define(0xA4, 4, 0x0000, 0xE000FFFF);  // system event enable
  define(0xA8, 1, 0x0F, 0xFF);          // fast-off timer
  define(0xAA, 2, 0x0000, 0, 0x1FF);    // SMI request
  define(0xAC, 1, 0x00, 0xFF);          // clock throttle low and high timers
  define(0xAE, 1, 0x00, 0xFF);
}

void Piix3::drive_isa_irqs() {
  uint32_t asserted = 0;
  for (unsigned pirq = 0; pirq < kPirqCount; ++pirq) {
    const uint32_t route = config(kRouteControl + pirq, 1);
    if (pirqs_[pirq].level() && (route & kRouteDisabled) == 0) asserted |= 1u << (route & kRouteIrqMask);
  }
  asserted &= kRoutableIrqs;
  for (unsigned irq = 0; irq < kIsaIrqCount; ++irq) isa_irqs_[irq].set((asserted >> irq & 1) != 0);
}

void Piix3::reset() {
  PciDevice::reset();
  reset_control_ = 0;
  drive_isa_irqs();
}

void Piix3::serialize(Archive& archive) {
  PciDevice::serialize(archive);
  archive.field("reset control", reset_control_);
  if (archive.loading()) drive_isa_irqs();
}

void Piix3::config_written(unsigned offset, unsigned size) {
  if (offset + size <= kRouteControl || offset >= kRouteControl + kPirqCount) return;
  for (unsigned pirq = 0; pirq < kPirqCount; ++pirq) {
    const uint32_t route = config(kRouteControl + pirq, 1);
    if ((route & kRouteDisabled) == 0 && (kRoutableIrqs >> (route & kRouteIrqMask) & 1) == 0) {
      log_.print(LogItem::GuestErrors, "piix3: PIRQ{} routed to the reserved interrupt {}", pirq,
                 route & kRouteIrqMask);
    }
  }
  drive_isa_irqs();
}

uint64_t Piix3::read_reset_control([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size) {
  return reset_control_;
}

// The rising edge of RCPU resets; SRST chooses between a hard and a soft reset, and both are hard here.
void Piix3::write_reset_control([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  const bool rises = (value & ~uint64_t{reset_control_} & kResetProcessor) != 0;
  reset_control_ = static_cast<uint8_t>(value & (kSystemReset | kResetProcessor));
  if (rises) request_reset_();
}

}  // namespace calco::devices
