// Cases where a tier once disagreed with the host.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>
#include <vector>

#include "tests/oracle/test_case.h"

namespace calco::oracle {

struct Regression {
  const char* name;
  std::vector<uint8_t> code;
  struct Register {
    unsigned number;  // cpu::Register
    uint64_t value;
  };
  std::vector<Register> registers = {};
  decode::CodeSize code_size = decode::CodeSize::Bits64;
  uint64_t flags = 0x202;
  uint16_t x87_control = 0x37F;
  uint32_t mxcsr = 0x1F80;
  std::vector<Poke> memory = {};
  uint64_t open_flags = 0;
  bool open_fault_address = false;
  uint64_t open_memory = 0;  // 4 bytes
};

// For the names of GoogleTest's parameters.
void PrintTo(const Regression& regression, std::ostream* stream);

std::span<const Regression> regressions();
TestCase as_test_case(const Regression& regression);

}  // namespace calco::oracle
