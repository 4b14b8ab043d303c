#include "tests/oracle/regressions/regression.h"

#include <ostream>

#include "cpu/state.h"

namespace calco::oracle {

using namespace cpu;

void PrintTo(const Regression& regression, std::ostream* stream) { *stream << regression.name; }

std::span<const Regression> regressions() {
  static const std::vector<Regression> kAll = {
#include "tests/oracle/regressions/cases.inc"
  };
  return kAll;
}

TestCase as_test_case(const Regression& regression) {
  TestCase test;
  test.code_64 = regression.code_64;
  test.code = regression.code;
  test.pokes = regression.memory;
  test.open_flags = regression.open_flags;
  test.open_fault_address = regression.open_fault_address;
  test.open_memory = regression.open_memory;
  test.open_memory_size = regression.open_memory != 0 ? 4 : 0;
  test.memory_seed = 1;
  MachineImage& image = test.initial;
  image.rip = kCode + 0x100;
  image.rsp = kStack;
  image.rflags = regression.flags;
  image.fx.control = regression.x87_control;
  image.fx.mxcsr = regression.mxcsr;
  if (!regression.code_64) {
    image.code_selector = kCode32Selector;
    image.data_selectors = {kDataSelector, kDataSelector, kDataSelector, kDataSelector};
  }
  for (const Regression::Register& setting : regression.registers) {
    image.registers[setting.number] = setting.value;
    if (setting.number == kRsp) image.rsp = setting.value;
  }
  return test;
}

}  // namespace calco::oracle
