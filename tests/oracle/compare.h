// Compares what the host and the interpreter made of a test.
#pragma once

#include <string>
#include <vector>

#include "tests/oracle/machine_image.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

// One field of a state, as a report shows it.
struct Field {
  std::string name;
  uint64_t initial, host, interpreter;
  uint64_t compared;  // bits that count
  bool differs() const { return ((host ^ interpreter) & compared) != 0; }
};

bool outcomes_agree(const TestCase& test, const Outcome& host, const Outcome& interpreter);
// Every field, for reports. Outcomes agree exactly where no field differs.
std::vector<Field> fields(const TestCase& test, const Outcome& host, const Outcome& interpreter);

}  // namespace calco::oracle
