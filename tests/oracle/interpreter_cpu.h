// Runs a test in the interpreter or in translated code, in a processor set up as Linux sets up the host's for user
// code.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "cpu/exec/translation.h"
#include "tests/cpu/cpu_fixture.h"
#include "tests/oracle/machine_image.h"
#include "tests/oracle/test_case.h"
#include "tests/oracle/tier.h"

namespace calco::oracle {

// A guest without a kernel: user pages of layout.h, and above them descriptor tables like Linux' with one handler for
// each exception, which halts.
class InterpreterCpu {
 public:
  explicit InterpreterCpu(Tier tier, LlvmLevel level = LlvmLevel::Full);

  void write_code(uint64_t address, std::span<const uint8_t> bytes);
  std::span<const uint8_t> code() const { return {host(kPhysicalCode), kCodePages * kPage}; }
  std::span<uint8_t> data() { return {host(kPhysicalData), kDataPages * kPage}; }

  void run(const MachineImage& initial, Outcome& outcome);

  // How often a test must have run before the run that counts.
  unsigned rehearsals() const { return tier_ == Tier::Regions ? 1 : 0; }

  const decode::FeatureSet& features() const { return fixture_.model.features(); }

 private:
  static constexpr uint64_t kPhysicalTables = 0x1000, kPhysicalGdt = 0x40000, kPhysicalIdt = 0x41000,
                            kPhysicalTss = 0x42000, kPhysicalLdt = 0x43000, kPhysicalKernelStack = 0x48000,
                            kPhysicalHandlers = 0x48000, kPhysicalExit = 0x50000, kPhysicalCode = 0x100000,
                            kPhysicalData = 0x200000;
  static constexpr uint64_t kKernel = 0xFFFF800000000000;

  uint8_t* host(uint64_t physical) const { return fixture_.memory.data() + physical; }
  template <typename T>
  T stored(uint64_t physical) const;
  void map_page(uint64_t linear, uint64_t physical, uint64_t flags);
  void map_pages(uint64_t linear, uint64_t physical, uint64_t count, uint64_t flags);
  void write_descriptors();
  void prepare_state();
  void load(const MachineImage& image);
  void save(Outcome& outcome) const;
  void save_x87(FxsaveArea& fx) const;

  std::unique_ptr<cpu::Translator> make_translator(LlvmLevel level);

  const Tier tier_;
  std::unique_ptr<cpu::Translator> translator_;  // outlives the processor
  cpu::CpuFixture fixture_{"max"};
  uint64_t next_table_ = kPhysicalTables + kPage;
  cpu::CpuState ready_;  // everything but what a test brings
};

}  // namespace calco::oracle
