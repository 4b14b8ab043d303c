#include "devices/pci/piix4_pm.h"

#include <algorithm>
#include <utility>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Configuration registers (82371AB, 7.1).
constexpr unsigned kPmBase = 0x40;
constexpr unsigned kDeviceActivityB = 0x58;
constexpr uint32_t kApmcEnable = 1u << 25;
// Decoding of board devices: keyboard controller, IDE and floppy as the board has them.
constexpr unsigned kDeviceResourceB = 0x5C;
constexpr unsigned kDeviceResourceC = 0x60;
constexpr unsigned kDeviceResourceD = 0x64;
constexpr unsigned kPmRegMisc = 0x80;
constexpr uint32_t kPmIoEnable = 1;
constexpr unsigned kSmbusBase = 0x90;
constexpr unsigned kSmbusHostConfiguration = 0xD2;
constexpr uint32_t kSmbusHostEnable = 1;
constexpr uint32_t kSmbusInterruptIrq9 = 4u << 1;
constexpr uint32_t kIoSpaceIndicator = 1;

constexpr uint64_t kPmIoLength = 64;
constexpr unsigned kPm1Event = 0x00 / 4;
constexpr unsigned kPm1Control = 0x04 / 4;
constexpr unsigned kPmTimer = 0x08 / 4;
constexpr unsigned kGlobalControl = 0x28 / 4;
constexpr uint32_t kGlobalControlBits = 0x07010F07;

// PM1 status and enable bits (ACPI 6.4, 4.8.4.1).
constexpr uint16_t kTimerEvent = 1u << 0;
constexpr uint16_t kGlobalLockEvent = 1u << 5;
constexpr uint16_t kPowerButtonEvent = 1u << 8;
constexpr uint16_t kRtcEvent = 1u << 10;
constexpr uint16_t kWakeStatus = 1u << 15;
constexpr uint16_t kEventBits = kTimerEvent | kGlobalLockEvent | kPowerButtonEvent | kRtcEvent;

// PM1 control bits (ACPI 6.4, 4.8.4.2).
constexpr uint16_t kSciEnable = 1u << 0;
constexpr uint16_t kSleepEnable = 1u << 13;
constexpr unsigned kSleepTypeShift = 10;
constexpr uint16_t kControlBits = 0x1C03;  // SLP_TYP, BM_RLD, SCI_EN; the others read as 0

// Values of SLP_TYP as the DSDT's \_S5, \_S3 and \_S4 packages name them.
constexpr unsigned kSoftOff = 0;
constexpr unsigned kSuspendToRam = 1;
constexpr unsigned kSuspendToDisk = 2;

// Commands to the APM control port, as the FADT's ACPI_ENABLE and ACPI_DISABLE name them.
constexpr uint8_t kAcpiEnable = 0xF1;
constexpr uint8_t kAcpiDisable = 0xF0;

// TMR_STS follows each change of the timer's top bit (ACPI 6.4, 4.8.3.3).
constexpr uint64_t kHalfPeriod = uint64_t{1} << 23;

uint64_t next_overflow(uint64_t ticks) { return (ticks / kHalfPeriod + 1) * kHalfPeriod; }

uint16_t replace_byte(uint16_t value, uint64_t index, uint64_t byte) {
  const unsigned shift = static_cast<unsigned>(index & 1) * 8;
  return static_cast<uint16_t>((value & ~(0xFFu << shift)) | (byte & 0xFF) << shift);
}

}  // namespace

Piix4Pm::Piix4Pm(const PciBuses& buses, Clock& clock, IrqLine sci, Actions actions, bool smm, Log& log)
    : PciDevice("piix4-pm",
                {.vendor = 0x8086,
                 .device = 0x7113,
                 .revision = 0x03,
                 .class_code = 0x068000,
                 .interrupt_pin = 1,
                 .status = 0x0280},
                buses),
      clock_(clock),
      sci_(std::move(sci)),
      actions_(std::move(actions)),
      log_(log),
      overflow_timer_(clock, [this] { update_sci(); }) {
  define(kPmBase, 4, kIoSpaceIndicator, 0xFFC0);
  define(kDeviceActivityB, 4, smm ? 0 : kApmcEnable, 0xFFFFFFFF);
  define(kDeviceResourceB, 4, 0x10000000, 0xFFFFFFFF);
  define(kDeviceResourceC, 4, 0x60000000, 0xFFFFFFFF);
  define(kDeviceResourceD, 4, 0, 0xFFFFFFFF);
  define(kPmRegMisc, 1, 0, kPmIoEnable);
  define(kSmbusBase, 4, kSmbusPort | kIoSpaceIndicator, 0xFFF0);
  define(kSmbusHostConfiguration, 1, kSmbusHostEnable | kSmbusInterruptIrq9, 0x0F);
  overflow_ticks_ = next_overflow(timer_ticks());
  update_io_mapping();
}

Piix4Pm::~Piix4Pm() = default;

void Piix4Pm::reset() {
  PciDevice::reset();
  status_ = enable_ = control_ = general_status_ = general_enable_ = 0;
  global_control_ = 0;
  apm_control_ = apm_status_ = 0;
  overflow_ticks_ = next_overflow(timer_ticks());
  smbus_.reset();
  update_io_mapping();
  update_sci();
}

void Piix4Pm::serialize(Archive& archive) {
  PciDevice::serialize(archive);
  update_timer_status();
  archive.field("status", status_);
  archive.field("enable", enable_);
  archive.field("control", control_);
  archive.field("global control", global_control_);
  archive.field("overflow ticks", overflow_ticks_);
  archive.field("general status", general_status_);
  archive.field("general enable", general_enable_);
  archive.field("apm control", apm_control_);
  archive.field("apm status", apm_status_);
  smbus_.serialize(archive);
  if (!archive.loading()) return;
  update_io_mapping();
  update_sci();
}

void Piix4Pm::config_written([[maybe_unused]] unsigned offset, [[maybe_unused]] unsigned size) { update_io_mapping(); }

// Both ranges have enables of their own and ignore the command register.
void Piix4Pm::update_io_mapping() {
  const auto move = [this](uint64_t& now, uint64_t wanted, uint64_t length, RegisterWindow& window) {
    if (now == wanted) return;
    if (now != kUnmapped) ports().detach(window);
    if (wanted != kUnmapped) {
      ports().attach(static_cast<uint16_t>(wanted), static_cast<uint32_t>(length), window);
    }
    now = wanted;
  };
  const bool io_enabled = (config(kPmRegMisc, 1) & kPmIoEnable) != 0;
  const bool smbus_enabled = (config(kSmbusHostConfiguration, 1) & kSmbusHostEnable) != 0;
  move(io_address_, io_enabled ? config(kPmBase, 4) & 0xFFC0 : kUnmapped, kPmIoLength, io_window_);
  move(smbus_address_, smbus_enabled ? config(kSmbusBase, 4) & 0xFFF0 : kUnmapped, Piix4Smbus::kPortCount, smbus_);
}

uint64_t Piix4Pm::timer_ticks() const {
  return multiply_divide(static_cast<uint64_t>(clock_.now()), kTimerHz, Clock::kSecond);
}

void Piix4Pm::update_timer_status() {
  if (timer_ticks() >= overflow_ticks_) status_ |= kTimerEvent;
}

// A timer that nobody listens to costs no wake-ups.
void Piix4Pm::schedule_timer_overflow() {
  if ((enable_ & kTimerEvent) == 0 || (status_ & kTimerEvent) != 0) return overflow_timer_.cancel();
  overflow_timer_.arm(static_cast<int64_t>(multiply_divide(overflow_ticks_, Clock::kSecond, kTimerHz)) + 1);
}

// Without SCI_EN the events would raise an SMI, which no firmware here asks for.
void Piix4Pm::update_sci() {
  update_timer_status();
  const bool event = (status_ & enable_ & kEventBits) != 0 || (general_status_ & general_enable_) != 0;
  sci_.set(event && (control_ & kSciEnable) != 0);
  schedule_timer_overflow();
}

uint32_t Piix4Pm::read_register(unsigned index) {
  switch (index) {
    case kPm1Event:
      update_timer_status();
      return status_ | uint32_t{enable_} << 16;
    case kPm1Control:
      return control_;
    case kPmTimer:
      return static_cast<uint32_t>(timer_ticks()) & kTimerMask;
    case kGlobalControl:
      return global_control_;
    default:
      return 0;
  }
}

void Piix4Pm::write_register(unsigned index, uint32_t value, uint32_t byte_mask) {
  switch (index) {
    case kPm1Event: {
      update_timer_status();
      const auto cleared = static_cast<uint16_t>(value & byte_mask & status_);
      if ((cleared & kTimerEvent) != 0) overflow_ticks_ = next_overflow(timer_ticks());
      status_ = static_cast<uint16_t>(status_ & ~cleared);
      const auto enable_mask = static_cast<uint16_t>(byte_mask >> 16);
      enable_ = static_cast<uint16_t>((enable_ & ~enable_mask) | (value >> 16 & enable_mask & kEventBits));
      update_sci();
      break;
    }
    case kPm1Control:
      write_control(value, byte_mask & 0xFFFF);
      break;
    case kGlobalControl:
      global_control_ = (global_control_ & ~byte_mask) | (value & byte_mask & kGlobalControlBits);
      break;
    default:
      log_.print(LogItem::GuestErrors, "piix4-pm: write of {:#x} to register {:#x}", value, index * 4);
  }
}

void Piix4Pm::write_control(uint32_t value, uint32_t byte_mask) {
  control_ = static_cast<uint16_t>((control_ & ~byte_mask) | (value & byte_mask & kControlBits));
  update_sci();
  if ((value & byte_mask & kSleepEnable) != 0) sleep(control_ >> kSleepTypeShift & 7);
}

void Piix4Pm::sleep(unsigned type) {
  switch (type) {
    case kSoftOff:
    case kSuspendToDisk:
      actions_.power_off();
      break;
    case kSuspendToRam:
      actions_.suspend();
      break;
    default:
      log_.print(LogItem::GuestErrors, "piix4-pm: unknown sleep type {}", type);
  }
}

// Accesses that leave their doubleword are cut off there.
uint64_t Piix4Pm::read_io(uint64_t offset, unsigned size) {
  return read_register(static_cast<unsigned>(offset / 4)) >> offset % 4 * 8 & floating_bus(size);
}

void Piix4Pm::write_io(uint64_t offset, unsigned size, uint64_t value) {
  const unsigned shift = static_cast<unsigned>(offset % 4) * 8;
  write_register(static_cast<unsigned>(offset / 4), static_cast<uint32_t>(value << shift),
                 static_cast<uint32_t>(floating_bus(size) << shift));
}

uint64_t Piix4Pm::read_apm(uint64_t offset, [[maybe_unused]] unsigned size) {
  return offset == 0 ? apm_control_ : apm_status_;
}

// The ACPI commands are carried out here, in place of the SMI handler of a board's firmware.
void Piix4Pm::write_apm(uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  if (offset != 0) {
    apm_status_ = static_cast<uint8_t>(value);
    return;
  }
  apm_control_ = static_cast<uint8_t>(value);
  if (apm_control_ == kAcpiEnable || apm_control_ == kAcpiDisable) {
    control_ = static_cast<uint16_t>(apm_control_ == kAcpiEnable ? control_ | kSciEnable : control_ & ~kSciEnable);
    update_sci();
  } else if ((config(kDeviceActivityB, 4) & kApmcEnable) != 0) {
    actions_.raise_smi();
  }
}

uint64_t Piix4Pm::read_gpe(uint64_t offset, [[maybe_unused]] unsigned size) {
  return (offset < 2 ? general_status_ : general_enable_) >> (offset & 1) * 8 & 0xFF;
}

void Piix4Pm::write_gpe(uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  if (offset < 2) {
    general_status_ = static_cast<uint16_t>(general_status_ & ~replace_byte(0, offset, value));
  } else {
    general_enable_ = replace_byte(general_enable_, offset, value);
  }
  update_sci();
}

void Piix4Pm::press_power_button() {
  status_ |= kPowerButtonEvent;
  update_sci();
}

void Piix4Pm::wake_up() { status_ |= kWakeStatus; }

void Piix4Pm::raise_general_event(unsigned event) {
  general_status_ = static_cast<uint16_t>(general_status_ | 1u << (event & 15));
  update_sci();
}

}  // namespace calco::devices
