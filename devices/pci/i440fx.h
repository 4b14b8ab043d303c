// Intel 440FX host bridge (82441FX), as the function at 00:00.0 of the `pc` machine.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "devices/pci/pci_device.h"

namespace calco {
class Log;
}

namespace calco::devices {

// The host bridge decides what answers between A0000 and FFFFF: guest RAM or what lies beneath (legacy VGA window, BIOS
// ROM), for reads and writes apart and segment by segment (PAM registers), and whether the RAM behind the VGA window
// is seen in system management mode (SMRAM register). Source: 82441FX data sheet (order number 290549), 3.2.
//
// The builder maps the rest: RAM below A0000 and from 100000 upward; the VGA window at priority 1 and the BIOS and
// option ROMs at priority 0 or 1.
//
// Threads: everything with the device lock held.
class I440fx final : public PciDevice {
 public:
  // `ram_offset` is the memory offset of guest physical address 0, followed by at least 1 MiB of RAM; `ram_size` in
  // bytes is what the DRAM row boundary registers tell.
  I440fx(const PciBuses& buses, uint64_t ram_offset, uint64_t ram_size, Log& log);
  ~I440fx() override;

  void reset() override;
  void serialize(Archive& archive) override;

 protected:
  void config_written(unsigned offset, unsigned size) override;

 private:
  // A PAM segment in its write-only mode: stores reach RAM, reads what lies beneath.
  class WriteOnlyShadow final : public RegisterWindow {
   public:
    WriteOnlyShadow(MemoryMap& memory, uint64_t address, uint64_t ram_offset)
        : memory_(memory), address_(address), ram_offset_(ram_offset) {}
    void set_region(MemoryMap::RegionId region) { region_ = region; }
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    unsigned maximum_access_size() const override { return 1; }

   private:
    MemoryMap& memory_;
    uint64_t address_;
    uint64_t ram_offset_;
    MemoryMap::RegionId region_ = 0;
  };

  struct Segment {
    unsigned config_offset;  // of its PAM register
    unsigned shift;          // of its two attribute bits there
    MemoryMap::RegionId ram;
    MemoryMap::RegionId write_only;
  };

  void add_segment(unsigned config_offset, unsigned shift, uint64_t address, uint64_t size);
  void write_smram_register();
  void update_layout();

  Log& log_;
  uint64_t ram_offset_;
  std::vector<std::unique_ptr<WriteOnlyShadow>> shadows_;
  std::vector<Segment> segments_;
  MemoryMap::RegionId smram_;
  uint8_t smram_register_;
};

}  // namespace calco::devices
