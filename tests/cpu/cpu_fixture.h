// A processor with some memory and nothing else, for instruction tests.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/processor_group.h"
#include "machine/core/guest_memory.h"
#include "machine/core/log.h"
#include "machine/core/memory_map.h"
#include "machine/core/port_bus.h"

namespace calco::cpu {

// A local APIC that never has anything to say but what a test puts there.
class SilentApic final : public LocalApicPort {
 public:
  int acknowledge() override { return vector; }
  uint8_t task_priority_class() const override { return priority; }
  void set_task_priority_class(uint8_t value) override { priority = value; }
  uint64_t base_register() const override { return 0xFEE00900; }
  bool set_base_register(uint64_t) override { return true; }
  bool read_x2apic(uint8_t, uint64_t&) override { return false; }
  bool write_x2apic(uint8_t, uint64_t) override { return false; }
  uint64_t tsc_deadline() const override { return deadline; }
  void set_tsc_deadline(uint64_t ticks) override { deadline = ticks; }
  void init_reset() override {}

  int vector = -1;
  uint8_t priority = 0;
  uint64_t deadline = 0;
};

// 16 MiB of RAM at 0. In 64-bit mode they are mapped one to one with 2 MiB pages, user and writable; the tables lie in
// the first 64 KiB, code goes to kCode, the stack ends at kStack, free memory begins at kData.
class CpuFixture {
 public:
  static constexpr uint64_t kMemory = 16 << 20;
  static constexpr uint64_t kTables = 0x1000;
  static constexpr uint64_t kCode = 0x100000;
  static constexpr uint64_t kStack = 0x200000;
  static constexpr uint64_t kData = 0x300000;

  explicit CpuFixture(std::string_view model_name = "max") : model(CpuModel::parse(model_name)) {
    map.add_memory("ram", 0, kMemory, memory.allocate(kMemory), true);
    map.commit();
    memory.set_code_observer([this](uint64_t offset, uint64_t size) { group.code_changed(offset, size); });
    cpu = std::make_unique<Cpu>(Environment{.memory_map = map,
                                            .ports = ports,
                                            .apic = apic,
                                            .log = log,
                                            .model = model,
                                            .group = group,
                                            .tsc = [this] { return ticks += 100; },
                                            .tsc_frequency = 1'000'000'000,
                                            .triple_fault = [this] { triple_faulted = true; },
                                            .index = 0});
  }

  // Flat 64-bit mode at privilege level `cpl`, SSE and x87 on, interrupts off.
  void enter_64_bit_mode(unsigned cpl = 0) {
    map.write_value<uint64_t>(kTables, (kTables + 0x1000) | 7);
    map.write_value<uint64_t>(kTables + 0x1000, (kTables + 0x2000) | 7);
    for (uint64_t page = 0; page < kMemory >> 21; ++page) {
      map.write_value<uint64_t>(kTables + 0x2000 + page * 8, page << 21 | 0xE7);
    }
    cpu->cr0 = cr0::kPe | cr0::kEt | cr0::kNe | cr0::kWp | cr0::kMp | cr0::kPg;
    cpu->cr4 = cr4::kPae | cr4::kOsfxsr | cr4::kOsxmmexcpt | cr4::kPge;
    cpu->cr3 = kTables;
    cpu->efer = efer::kSce | efer::kLme | efer::kLma | efer::kNxe;
    set_flat_segments(cpl, /*code_attributes=*/0xA09B);
    cpu->x87 = X87State{};
    start_at(kCode);
  }
  // Flat 32-bit protected mode without paging.
  void enter_32_bit_mode(unsigned cpl = 0) {
    cpu->cr0 = cr0::kPe | cr0::kEt | cr0::kNe | cr0::kMp;
    cpu->cr4 = cr4::kOsfxsr | cr4::kOsxmmexcpt;
    cpu->efer = 0;
    set_flat_segments(cpl, /*code_attributes=*/0xC09B);
    cpu->x87 = X87State{};
    start_at(kCode);
  }

  void start_at(uint64_t rip) {
    cpu->registers[kRip] = rip;
    cpu->registers[kRsp] = kStack;
    cpu->mmu().flush_all();
    cpu->mode_changed();
  }

  void load_code(std::span<const uint8_t> bytes, uint64_t address = kCode) {
    map.write(address, bytes.data(), bytes.size());
  }
  void load_code(std::initializer_list<uint8_t> bytes, uint64_t address = kCode) {
    load_code(std::span<const uint8_t>(bytes.begin(), bytes.size()), address);
  }
  // Runs `count` instructions from the code's beginning.
  void execute(std::initializer_list<uint8_t> bytes, uint64_t count = 1) {
    load_code(bytes);
    cpu->registers[kRip] = kCode;
    cpu->run_instructions(count);
  }

  uint64_t flags() const { return rflags_value(*cpu); }

  std::recursive_mutex device_lock;
  Log log;
  GuestMemory memory{kMemory};
  MemoryMap map{memory, device_lock, log};
  PortBus ports{device_lock, log};
  SilentApic apic;
  ProcessorGroup group;
  CpuModel model;
  uint64_t ticks = 0;
  bool triple_faulted = false;
  std::unique_ptr<Cpu> cpu;

 private:
  void set_flat_segments(unsigned cpl, uint16_t code_attributes) {
    const auto privilege = static_cast<uint16_t>(cpl << Segment::kDplShift);
    for (unsigned number = kEs; number <= kGs; ++number) {
      Segment& segment = cpu->segments[number];
      segment.base = 0;
      segment.limit = 0xFFFFFFFF;
      segment.selector = static_cast<uint16_t>((number == kCs ? 0x08 : 0x10) | cpl);
      segment.attributes = static_cast<uint16_t>((number == kCs ? code_attributes : 0xC093) | privilege);
    }
    cpu->cpl = static_cast<uint8_t>(cpl);
  }
};

}  // namespace calco::cpu
