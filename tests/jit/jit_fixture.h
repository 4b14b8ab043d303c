// A processor whose code is translated, for tests of the translator as a whole.
#pragma once

#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <memory>
#include <string>

#include "jit/runtime/jit.h"
#include "tests/cpu/system_fixture.h"

namespace calco::jit {

// Guest code, assembled to be placed anywhere.
class GuestCode : public Xbyak::CodeGenerator {
 public:
  std::span<const uint8_t> bytes() const { return {getCode(), getSize()}; }
};

// Who executes the guest's code.
enum class Tier : uint8_t { Baseline, Llvm };

inline std::string tier_name(const testing::TestParamInfo<Tier>& info) {
  return info.param == Tier::Llvm ? "Llvm" : "Baseline";
}

// Blocks are translated before they are executed for the first time. Every exception's handler is HLT, with which
// run() returns (interrupts are off); it has a stack of its own. Besides what the base maps, the 2 MiB from kAlias on
// show the first 2 MiB of memory once more, kPages is where single pages can be mapped, and kReadOnly is memory that
// nobody may write.
class JitFixture : public cpu::SystemFixture {
 public:
  static constexpr uint64_t kAlias = 0x2000000;
  static constexpr uint64_t kPages = 0x2200000;
  static constexpr uint64_t kReadOnly = 0xC00000;
  static constexpr uint64_t kNowhere = 0x3000000;
  static constexpr uint64_t kDirectory = kTables + 0x2000;
  static constexpr uint64_t kPageTable = kTables + 0x4000;
  static constexpr uint64_t kPresentWritable = 0x63;  // and accessed, dirty

  // Tier::Llvm: a translation is compiled by LLVM before it executes for the first time, or has been entered so often.
  explicit JitFixture(JitOptions options = {.threshold = 1}, Tier tier = Tier::Baseline,
                      int32_t entries_until_hot = 1) {
    options.passes.verify = true;
    options.llvm = tier == Tier::Llvm;
    options.regions.threshold = entries_until_hot;
    options.regions.wait = true;
    jit = std::make_unique<Jit>(options, group, *cpu, log);
    group.set_code_listener([this](uint64_t offset, uint64_t size) { jit->code_changes(offset, size); });
    cpu->set_translator(jit.get());
    enter_long();
    map.write_value<uint64_t>(kDirectory + (kAlias >> 21) * 8, 0xE7);
    map.write_value<uint64_t>(kDirectory + (kPages >> 21) * 8, kPageTable | 7);
    map.write_value<uint64_t>(kDirectory + (kReadOnly >> 21) * 8, kReadOnly | 0xE5);
    cpu->mmu().flush_all();
    for (unsigned number = 0; number < 32; ++number) {
      const auto vector = static_cast<uint8_t>(number);
      write_interrupt_gate(vector, cpu::system_type::kInterruptGate32, cpu::selector::kCode0, 0, /*ist=*/1);
      load_code({0xF4}, handler(vector));
    }
  }
  ~JitFixture() {
    group.set_code_listener({});
    cpu.reset();
  }

  // Page `number` from kPages on shows the page at `physical`.
  void map_page(unsigned number, uint64_t physical) {
    map.write_value<uint64_t>(kPageTable + number * 8, physical | kPresentWritable);
    cpu->mmu().flush_all();
  }

  void load(const GuestCode& code, uint64_t address = kCode) { load_code(code.bytes(), address); }
  // Executes from `address` to the next HLT.
  cpu::RunExit run(uint64_t address = kCode) {
    cpu->registers[cpu::kRip] = address;
    cpu->registers[cpu::kRsp] = kStack;
    cpu->activity = cpu::Activity::Running;
    return cpu->run();
  }
  // All with the interpreter from now on.
  void stop_translating() { cpu->set_translator(nullptr); }

  uint64_t reg(cpu::Register number) const { return cpu->registers[number]; }
  uint64_t word(uint64_t address) { return map.read_value<uint64_t>(address); }
  bool entered_translations() const { return cpu->translation_counters.entries != 0; }

  std::unique_ptr<Jit> jit;
};

}  // namespace calco::jit
