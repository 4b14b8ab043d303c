// The buses that devices under test are plugged into.
#pragma once

#include <mutex>

#include "devices/pci/pci_device.h"
#include "machine/core/guest_memory.h"
#include "machine/core/irq_line.h"
#include "machine/core/log.h"
#include "machine/core/memory_map.h"
#include "machine/core/port_bus.h"

namespace calco::devices {

// 2 MiB of guest memory, of which nothing is mapped yet.
struct Board {
  std::recursive_mutex device_lock;
  Log log;
  GuestMemory guest_memory{2 << 20};
  MemoryMap memory{guest_memory, device_lock, log};
  PortBus ports{device_lock, log};
  PciBuses buses{ports, memory};
};

// A function's configuration space as a window, for the device suite.
struct ConfigWindow final : RegisterWindow {
  explicit ConfigWindow(PciDevice& tested) : device(tested) {}
  uint64_t read(uint64_t offset, unsigned size) override {
    return device.read_config(static_cast<unsigned>(offset), size);
  }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    device.write_config(static_cast<unsigned>(offset), size, static_cast<uint32_t>(value));
  }
  unsigned maximum_access_size() const override { return 4; }
  PciDevice& device;
};

// The far end of an interrupt wire.
struct WireProbe {
  bool level = false;
  unsigned rises = 0;
  IrqLine line() {
    return IrqLine([this](bool now) {
      level = now;
      rises += now ? 1 : 0;
    });
  }
};

}  // namespace calco::devices
