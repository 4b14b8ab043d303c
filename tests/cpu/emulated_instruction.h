// Runs one instruction on the emulated processor, from and to the same state as on the host.
#pragma once

#include <span>
#include <string>

#include "tests/cpu/cpu_fixture.h"
#include "tests/cpu/host_instruction.h"

namespace calco::cpu::test {

// A processor in 64-bit mode that sees memory() at the same linear address as the host does, so that pointers in
// registers mean the same on both.
class EmulatedInstruction : private CpuFixture {
 public:
  EmulatedInstruction();

  // As HostInstruction::run().
  HostFault run(std::span<const uint8_t> bytes, HostState& state);
  // One page.
  uint8_t* memory() { return CpuFixture::memory.data() + kData; }
  // For tests of modes that a host program cannot have.
  Cpu& processor() { return *cpu; }

  static std::string name(std::span<const uint8_t> bytes);

 private:
  static constexpr uint64_t kHandlers = 0x180000;  // of exceptions, 16 bytes apart
  static constexpr uint64_t kMoreTables = 0x8000;

  void map_memory_like_host();
  void set_up_exceptions();
  void load(const HostState& state);
  void store(HostState& state) const;
  HostFault fault_taken() const;
};

}  // namespace calco::cpu::test
