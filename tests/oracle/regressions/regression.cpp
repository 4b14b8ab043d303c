#include "tests/oracle/regressions/regression.h"

#include <ostream>

#include "cpu/state.h"
#include "tests/oracle/segments.h"

namespace calco::oracle {

using namespace cpu;
using decode::CodeSize;

void PrintTo(const Regression& regression, std::ostream* stream) { *stream << regression.name; }

std::span<const Regression> regressions() {
  static const std::vector<Regression> kAll = {
#include "tests/oracle/regressions/cases.inc"
  };
  return kAll;
}

TestCase as_test_case(const Regression& regression) {
  TestCase test;
  test.code_size = regression.code_size;
  test.code = regression.code;
  test.pokes = regression.memory;
  test.open_flags = regression.open_flags;
  test.open_fault_address = regression.open_fault_address;
  test.open_memory = regression.open_memory;
  test.open_memory_size = regression.open_memory != 0 ? 4 : 0;
  test.memory_seed = 1;
  MachineImage& image = test.initial;
  image.rip = test.code_address;
  image.rsp = kStack;
  image.rflags = regression.flags;
  image.fx.control = regression.x87_control;
  image.fx.mxcsr = regression.mxcsr;
  if (!test.code_64()) image.data_selectors = {kDataSelector, kDataSelector, kDataSelector, kDataSelector};
  if (test.code_size == CodeSize::Bits32) image.code_selector = kCode32Selector;
  if (test.code_size == CodeSize::Bits16) {
    image.code_selector = kLocalCode16;
    image.rip -= kCode;
    image.data_selectors = {kLocalData16, kLocalData16, kLocalData32, kLocalExpandDown16};
  }
  for (const Regression::Register& setting : regression.registers) {
    image.registers[setting.number] = setting.value;
    if (setting.number == kRsp) image.rsp = setting.value;
  }
  return test;
}

}  // namespace calco::oracle
