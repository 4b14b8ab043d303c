// What the firmware's tables have to know of the machine, and the addresses of the `pc` board.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/options/machine_config.h"

namespace calco::machine {

// Guest physical addresses of the board. RAM below 4 GiB ends where the PCI hole begins.
namespace board {
constexpr uint64_t kFourGib = 1ull << 32;
constexpr uint64_t kIoApic = 0xFEC00000;
constexpr uint64_t kHpet = 0xFED00000;
constexpr uint64_t kLocalApic = 0xFEE00000;
constexpr uint32_t kPciHoleLast = 0xFEBFFFFF;  // the I/O APIC follows
// Where the firmware puts the power management block, as its ACPI tables have to say in advance.
constexpr uint16_t kPowerManagementBase = 0x600;
constexpr unsigned kSciInterrupt = 9;
}  // namespace board

// RAM is split around the hole below 4 GiB: small machines keep all of it below, larger ones 3 GiB.
struct MemoryLayout {
  uint64_t low = 0;   // bytes from address 0
  uint64_t high = 0;  // bytes from 4 GiB
};
constexpr MemoryLayout memory_layout(uint64_t size) {
  constexpr uint64_t kAllBelow = 0xE0000000, kSplitAt = 0xC0000000;
  if (size < kAllBelow) return {size, 0};
  return {kSplitAt, size - kSplitAt};
}

struct Platform {
  MemoryLayout memory;
  unsigned sockets = 1, cores = 1, threads = 1;  // as ProcessorTopology
  std::vector<uint32_t> apic_ids;                // of the processors that are there
  bool hpet = true;
  std::vector<unsigned> serial_ports;  // numbers of the COM ports that are there, from 1
};

// I/O port and ISA interrupt of COM1 to COM4.
struct SerialPortPlace {
  uint16_t port;
  unsigned irq;
};
constexpr SerialPortPlace serial_port_place(unsigned number) {
  constexpr SerialPortPlace kPlaces[] = {{0x3F8, 4}, {0x2F8, 3}, {0x3E8, 4}, {0x2E8, 3}};
  return kPlaces[number - 1];
}

}  // namespace calco::machine
