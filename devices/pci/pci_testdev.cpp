#include "devices/pci/pci_testdev.h"

#include <array>
#include <cstring>
#include <string_view>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

constexpr uint64_t kMemoryBarSize = 4096;
constexpr uint64_t kIoBarSize = 256;

// What a test asks of the guest. QEMU serves the second and third by an eventfd where KVM is in use; the counts are
// the same.
struct Test {
  std::string_view name;
  uint8_t width;    // bytes
  uint8_t data;     // to be written
  bool match_data;  // other data does not count
};
constexpr std::array<Test, 3> kTests{
    {{"no-eventfd", 1, 0xCE, false}, {"wildcard-eventfd", 1, 0xCE, false}, {"datamatch-eventfd", 1, 0xFA, true}}};

// Offsets in the header, which ends before kTarget, where the guest writes.
constexpr uint64_t kTestNumber = 0;
constexpr uint64_t kWidth = 1;
constexpr uint64_t kOffset = 4;
constexpr uint64_t kData = 8;
constexpr uint64_t kCount = 12;
constexpr uint64_t kName = 16;
constexpr uint64_t kHeaderSize = 64;
constexpr uint32_t kTarget = 128;

}  // namespace

PciTestdev::PciTestdev(const PciBuses& buses)
    : PciDevice("pci-testdev", {.vendor = 0x1B36, .device = 0x0005, .class_code = 0x00FF00}, buses) {
  add_window_bar(0, BarKind::Memory32, kMemoryBarSize, memory_window_);
  add_window_bar(1, BarKind::Io, kIoBarSize, io_window_);
}

void PciTestdev::reset() {
  PciDevice::reset();
  memory_bench_ = io_bench_ = {};
}

void PciTestdev::serialize(Archive& archive) {
  PciDevice::serialize(archive);
  for (Bench* bench : {&memory_bench_, &io_bench_}) {
    archive.field("count", bench->count);
    archive.field("test", bench->test);
  }
}

uint64_t PciTestdev::read_header(const Bench& bench, bool io, uint64_t offset, unsigned size) {
  std::array<uint8_t, kHeaderSize> header{};
  if (bench.test < kTests.size()) {
    const Test& test = kTests[bench.test];
    const std::string_view prefix = io ? "portio-" : "mmio-";
    header[kTestNumber] = bench.test;
    header[kWidth] = test.width;
    std::memcpy(&header[kOffset], &kTarget, sizeof(kTarget));
    header[kData] = test.data;
    std::memcpy(&header[kCount], &bench.count, sizeof(bench.count));
    std::memcpy(&header[kName], prefix.data(), prefix.size());
    std::memcpy(&header[kName + prefix.size()], test.name.data(), test.name.size());
  }
  uint64_t value = 0;
  if (offset + size <= kHeaderSize) std::memcpy(&value, &header[offset], size);
  return value;
}

void PciTestdev::write_bench(Bench& bench, uint64_t offset, unsigned size, uint64_t value) {
  if (offset == kTestNumber) {
    bench = {.count = 0, .test = value < kTests.size() ? static_cast<uint8_t>(value) : kNoTest};
    return;
  }
  if (bench.test >= kTests.size() || offset != kTarget) return;
  const Test& test = kTests[bench.test];
  if (size != test.width || (test.match_data && value != test.data)) return;
  ++bench.count;
}

uint64_t PciTestdev::read_memory(uint64_t offset, unsigned size) {
  return read_header(memory_bench_, false, offset, size);
}

void PciTestdev::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  write_bench(memory_bench_, offset, size, value);
}

uint64_t PciTestdev::read_io(uint64_t offset, unsigned size) { return read_header(io_bench_, true, offset, size); }

void PciTestdev::write_io(uint64_t offset, unsigned size, uint64_t value) {
  write_bench(io_bench_, offset, size, value);
}

}  // namespace calco::devices
