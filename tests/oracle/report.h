// The report of a disagreement.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "tests/oracle/machine_image.h"
#include "tests/oracle/oracle.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

// The same pages after both runs.
struct MemoryPair {
  uint64_t address;
  std::span<const uint8_t> host, interpreter;
  bool equal() const { return std::memcmp(host.data(), interpreter.data(), host.size()) == 0; }
};

Difference describe_difference(const TestCase& test, const Outcome& host, const Outcome& interpreter,
                               const MemoryPair& data, const MemoryPair& code);

// The test's code by Capstone, one instruction a line.
std::string listing(const TestCase& test);

}  // namespace calco::oracle
