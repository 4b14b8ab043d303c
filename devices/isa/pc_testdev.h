// The device that kvm-unit-tests drive on a `pc` machine (pc-testdev).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/member_window.h"
#include "machine/core/device.h"
#include "machine/core/irq_line.h"

namespace calco::devices {

// Registers that read back, memory-mapped bytes that read back, and one port per interrupt line. QEMU's name for it is
// pc-testdev; the addresses are those that kvm-unit-tests use.
//
// Threads: everything with the device lock held.
class PcTestdev final : public Device {
 public:
  static constexpr unsigned kIrqCount = 24;
  static constexpr uint16_t kLoopbackPort = 0xE0;  // a 32-bit register
  static constexpr uint32_t kLoopbackPortCount = 4;
  static constexpr uint16_t kFlushPort = 0xE4;
  static constexpr uint32_t kFlushPortCount = 4;
  static constexpr uint16_t kIrqPort = 0x2000;  // a port per interrupt: not zero asserts, zero deasserts
  static constexpr uint64_t kMemoryAddress = 0xFF000000;
  static constexpr uint64_t kMemorySize = 0x10000;

  // Lines 0 to 15 are the ISA interrupts, all 24 the I/O APIC's inputs.
  explicit PcTestdev(std::array<IrqLine, kIrqCount> irqs) : irqs_(std::move(irqs)) {}

  RegisterWindow& loopback_window() { return loopback_window_; }
  // A guest writes an address here to have the hypervisor drop and rebuild its mapping of that page. Mappings here
  // are never stale, so the write has no effect.
  RegisterWindow& flush_window() { return flush_window_; }
  RegisterWindow& irq_window() { return irq_window_; }
  RegisterWindow& memory_window() { return memory_window_; }

  std::string_view name() const override { return "pc-testdev"; }
  void reset() override;
  void serialize(Archive& archive) override;

 private:
  uint64_t read_loopback(uint64_t offset, unsigned size);
  void write_loopback(uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_flush(uint64_t offset, unsigned size);
  void write_flush(uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_irq(uint64_t offset, unsigned size);
  void write_irq(uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_memory(uint64_t offset, unsigned size);
  void write_memory(uint64_t offset, unsigned size, uint64_t value);

  std::array<IrqLine, kIrqCount> irqs_;
  std::array<uint8_t, kLoopbackPortCount> loopback_{};
  std::vector<uint8_t> memory_ = std::vector<uint8_t>(kMemorySize);
  MemberWindow<PcTestdev, &PcTestdev::read_loopback, &PcTestdev::write_loopback, 4> loopback_window_{*this};
  MemberWindow<PcTestdev, &PcTestdev::read_flush, &PcTestdev::write_flush, 4> flush_window_{*this};
  MemberWindow<PcTestdev, &PcTestdev::read_irq, &PcTestdev::write_irq, 1> irq_window_{*this};
  MemberWindow<PcTestdev, &PcTestdev::read_memory, &PcTestdev::write_memory, 8> memory_window_{*this};
};

}  // namespace calco::devices
