#include "machine/pc/cmos_contents.h"

#include <algorithm>
#include <ctime>

namespace calco::machine {
namespace {

constexpr uint64_t kKib = 1024, kMib = kKib << 10;

// `value` low byte first at consecutive or given places.
void set_word(devices::CmosRtc& cmos, uint8_t low, uint8_t high, uint64_t value) {
  cmos.set_byte(low, static_cast<uint8_t>(value));
  cmos.set_byte(high, static_cast<uint8_t>(value >> 8));
}

void set_memory(devices::CmosRtc& cmos, const MemoryLayout& memory) {
  constexpr uint64_t kBase = 640, kMaximum = 0xFFFF;
  const uint64_t above_1m = memory.low > kMib ? (memory.low - kMib) / kKib : 0;
  const uint64_t above_16m = memory.low > 16 * kMib ? (memory.low - 16 * kMib) / (64 * kKib) : 0;
  const uint64_t above_4g = memory.high / (64 * kKib);
  set_word(cmos, 0x15, 0x16, kBase);
  set_word(cmos, 0x17, 0x18, std::min(above_1m, kMaximum));
  set_word(cmos, 0x30, 0x31, std::min(above_1m, kMaximum));
  set_word(cmos, 0x34, 0x35, std::min(above_16m, kMaximum));
  set_word(cmos, 0x5B, 0x5C, above_4g);
  cmos.set_byte(0x5D, static_cast<uint8_t>(above_4g >> 16));
}

// Drive letters of -boot as the firmware numbers them; 0 ends the list.
uint8_t boot_device(char letter) {
  switch (letter) {
    case 'a':
    case 'b':
      return 1;
    case 'c':
      return 2;
    case 'd':
      return 3;
    case 'n':
      return 4;
    default:
      return 0;
  }
}

void set_boot_order(devices::CmosRtc& cmos, const BootOptions& boot) {
  constexpr uint8_t kNoFloppySignatureCheck = 1;
  const std::string order = boot.order.empty() ? "cad" : boot.order;
  const auto nth = [&](size_t index) { return index < order.size() ? boot_device(order[index]) : uint8_t{0}; };
  cmos.set_byte(0x3D, static_cast<uint8_t>(nth(1) << 4 | nth(0)));
  cmos.set_byte(0x38, static_cast<uint8_t>(nth(2) << 4 | kNoFloppySignatureCheck));
}

}  // namespace

void fill_cmos(devices::CmosRtc& cmos, const MachineConfig& config, const MemoryLayout& memory) {
  constexpr uint8_t kCoprocessor = 0x02, kMouse = 0x04;
  set_memory(cmos, memory);
  cmos.set_byte(0x10, 0);  // no floppy drives
  cmos.set_byte(0x14, kCoprocessor | kMouse);
  set_boot_order(cmos, config.boot);
  cmos.set_byte(0x5F, static_cast<uint8_t>(config.topology.processors - 1));
}

int64_t rtc_start_time(const MachineConfig& config) {
  const std::time_t now = std::time(nullptr);
  switch (config.rtc_base) {
    case RtcBase::Utc:
      return now;
    case RtcBase::LocalTime: {
      std::tm local{};
      localtime_r(&now, &local);
      return timegm(&local);
    }
    case RtcBase::Fixed:
      return config.rtc_start;
  }
  return now;
}

}  // namespace calco::machine
