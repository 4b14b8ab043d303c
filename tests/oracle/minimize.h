// Makes a failing test smaller.
#pragma once

#include "tests/oracle/oracle.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

// The test without the instructions that the disagreement does not need.
TestCase minimized(Oracle& oracle, TestCase test);

}  // namespace calco::oracle
