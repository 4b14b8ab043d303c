// The PCI function by which guests measure and test register accesses (pci-testdev).
#pragma once

#include <cstdint>

#include "devices/member_window.h"
#include "devices/pci/pci_device.h"

namespace calco::devices {

// A memory BAR (0) and an I/O BAR (1), each with a header that describes the chosen test: where, with which width and
// what the guest is to write, and how many such writes were counted. Source: QEMU's docs/specs/pci-testdev, "QEMU PCI
// test device".
//
// Threads: everything with the device lock held.
class PciTestdev final : public PciDevice {
 public:
  explicit PciTestdev(const PciBuses& buses);

  void reset() override;
  void serialize(Archive& archive) override;

 private:
  static constexpr uint8_t kNoTest = 0xFF;
  // The state of the test chosen through one BAR.
  struct Bench {
    uint32_t count = 0;
    uint8_t test = kNoTest;
  };

  uint64_t read_memory(uint64_t offset, unsigned size);
  void write_memory(uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_io(uint64_t offset, unsigned size);
  void write_io(uint64_t offset, unsigned size, uint64_t value);

  Bench memory_bench_;
  Bench io_bench_;
  MemberWindow<PciTestdev, &PciTestdev::read_memory, &PciTestdev::write_memory, 4> memory_window_{*this};
  MemberWindow<PciTestdev, &PciTestdev::read_io, &PciTestdev::write_io, 4> io_window_{*this};

  static uint64_t read_header(const Bench& bench, bool io, uint64_t offset, unsigned size);
  static void write_bench(Bench& bench, uint64_t offset, unsigned size, uint64_t value);
};

}  // namespace calco::devices
