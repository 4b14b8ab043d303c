#include "cpu/system/paravirtual_clock.h"

#include <chrono>

#include "cpu/system/cpu_model.h"

namespace calco::cpu {

namespace {

constexpr uint32_t kWallClock = 0x4B564D00, kSystemTime = 0x4B564D01;
constexpr uint64_t kNanoseconds = 1'000'000'000;
constexpr uint64_t kEnabled = 1;  // in the MSR of the system time

// struct pvclock_vcpu_time_info.
struct TimeInfo {
  uint32_t version = 2;  // even: complete
  uint32_t padding0 = 0;
  uint64_t tsc_timestamp = 0;
  uint64_t system_time = 0;  // ns at that TSC
  uint32_t multiplier = 0;   // ns a (shifted) tick, in 2^-32
  int8_t shift = 0;          // of a difference of ticks before it is multiplied, to the left
  uint8_t flags = 0;
  uint8_t padding1[2] = {};
};
static_assert(sizeof(TimeInfo) == 32);

// struct pvclock_wall_clock: when the system time was 0.
struct WallClock {
  uint32_t version = 2;
  uint32_t seconds = 0;
  uint32_t nanoseconds = 0;
};

// The largest multiplier that fits.
void set_rate(TimeInfo& info, uint64_t frequency) {
  unsigned __int128 scaled = (static_cast<unsigned __int128>(kNanoseconds) << 64) / frequency;  // in 2^-64
  int shift = 32;
  while (scaled >> 32 != 0) {
    scaled >>= 1;
    --shift;
  }
  info.multiplier = static_cast<uint32_t>(scaled);
  info.shift = static_cast<int8_t>(-shift);
}

uint64_t system_time(const Cpu& cpu, uint64_t ticks) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(ticks) * kNanoseconds / cpu.environment().tsc_frequency);
}

void publish_system_time(Cpu& cpu, uint64_t address) {
  TimeInfo info;
  const uint64_t shared = cpu.environment().tsc();
  info.tsc_timestamp = shared + cpu.tsc_offset;
  info.system_time = system_time(cpu, shared);
  set_rate(info, cpu.environment().tsc_frequency);
  cpu.environment().memory_map.write(address, &info, sizeof(info), cpu.in_smm);
}

void publish_wall_clock(Cpu& cpu, uint64_t address) {
  using std::chrono::duration_cast;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto start = static_cast<uint64_t>(duration_cast<std::chrono::nanoseconds>(now).count()) -
                     system_time(cpu, cpu.environment().tsc());
  WallClock wall;
  wall.seconds = static_cast<uint32_t>(start / kNanoseconds);
  wall.nanoseconds = static_cast<uint32_t>(start % kNanoseconds);
  cpu.environment().memory_map.write(address, &wall, sizeof(wall), cpu.in_smm);
}

bool offered(const Cpu& cpu, uint32_t index) {
  constexpr uint32_t kClockSource2 = 1u << 3;
  return (index == kWallClock || index == kSystemTime) && (cpu.model().paravirtual_features() & kClockSource2) != 0;
}

}  // namespace

bool read_paravirtual_clock(const Cpu& cpu, uint32_t index, uint64_t& value) {
  if (!offered(cpu, index)) return false;
  value = index == kWallClock ? cpu.paravirtual.wall_clock : cpu.paravirtual.system_time;
  return true;
}

bool write_paravirtual_clock(Cpu& cpu, uint32_t index, uint64_t value) {
  if (!offered(cpu, index)) return false;
  if (index == kWallClock) {
    cpu.paravirtual.wall_clock = value;
    publish_wall_clock(cpu, value);
  } else {
    cpu.paravirtual.system_time = value;
    if ((value & kEnabled) != 0) publish_system_time(cpu, value & ~kEnabled);
  }
  return true;
}

uint64_t paravirtual_time(Cpu& cpu) {
  if ((cpu.paravirtual.system_time & kEnabled) == 0) return 0;
  TimeInfo info;
  if (!cpu.environment().memory_map.read(cpu.paravirtual.system_time & ~kEnabled, &info, sizeof(info))) return 0;
  constexpr int kWidth = 64;
  const uint64_t ticks = cpu.tsc() - info.tsc_timestamp;
  if (info.shift <= -kWidth || info.shift >= kWidth) return 0;  // the guest's own doing
  const uint64_t shifted = info.shift < 0 ? ticks >> -info.shift : ticks << info.shift;
  return info.system_time + static_cast<uint64_t>(static_cast<unsigned __int128>(shifted) * info.multiplier >> 32);
}

}  // namespace calco::cpu
