#include "tests/oracle/compare.h"

#include <fmt/format.h>

#include <cstring>

#include "cpu/state.h"

namespace calco::oracle {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};
constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - 4096;  // TASK_SIZE_MAX
constexpr const char* kRegisterNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

// Bits of the page fault error code that count: of addresses above user space Linux says that they are mapped.
uint64_t error_bits(const TestCase& test, const Outcome& host) {
  const bool hidden = host.ending.vector == cpu::kPageFault && host.ending.address >= kUserEnd;
  return hidden || test.open_fault_address ? 0xFFFFFFFE : 0xFFFFFFFF;
}

uint64_t address_bits(const TestCase& test, const Outcome& host) {
  if (host.ending.vector != cpu::kPageFault) return 0;
  return test.open_fault_address ? 0 : kAll;
}

// Outside of 64-bit mode the upper halves of the registers cannot be seen, and R8-R15 neither.
uint64_t register_bits(const TestCase& test, const Outcome& host, unsigned number) {
  const bool ends_in_32_bit_code = host.image.code_selector != kCode64Selector;
  if (ends_in_32_bit_code && number == cpu::kRsp) return 0xFFFFFFFF;
  if (test.code_64()) return kAll;
  return number < 8 ? 0xFFFFFFFF : 0;
}

// AMD processors save the x87 error pointers only while an exception is pending (AMD APM vol. 2, 11.5.8).
uint64_t pointer_bits(const Outcome& host) { return (host.image.fx.status & 0x80) != 0 ? kAll : 0; }

// The states as the comparison sees them: what does not count is zero.
void compare_all(const TestCase& test, const Outcome& host, const Outcome& interpreter, auto visit) {
  const auto add = [&](auto name, uint64_t initial, uint64_t a, uint64_t b, uint64_t compared = kAll) {
    visit(name, initial, a, b, compared);
  };
  const MachineImage &from = test.initial, &a = host.image, &b = interpreter.image;
  add("ending", 0, host.ending.vector, interpreter.ending.vector);
  add("error code", 0, host.ending.error_code, interpreter.ending.error_code, error_bits(test, host));
  add("address", 0, host.ending.address, interpreter.ending.address, address_bits(test, host));
  for (unsigned i = 0; i < 16; ++i) {
    add(kRegisterNames[i], i == 4 ? from.rsp : from.registers[i], a.registers[i], b.registers[i],
        register_bits(test, host, i));
  }
  add("rip", from.rip, a.rip, b.rip);
  add("rflags", from.rflags, a.rflags, b.rflags, ~test.open_flags);
  add("cs", from.code_selector, a.code_selector, b.code_selector, 0xFFFF);
  add("ss", from.stack_selector, a.stack_selector, b.stack_selector, 0xFFFF);
  static constexpr const char* kDataNames[] = {"ds", "es", "fs", "gs"};
  // A switch of the host's threads may turn one null selector into another.
  const auto selector = [](uint16_t value) { return value < 4 ? 0 : value; };
  for (unsigned i = 0; i < 4; ++i) {
    add(kDataNames[i], from.data_selectors[i], selector(a.data_selectors[i]), selector(b.data_selectors[i]));
  }
  add("fs base", from.fs_base, a.fs_base, b.fs_base);
  add("gs base", from.gs_base, a.gs_base, b.gs_base);
  add("mxcsr", from.fx.mxcsr, a.fx.mxcsr, b.fx.mxcsr);
  add("fcw", from.fx.control, a.fx.control, b.fx.control);
  add("fsw", from.fx.status, a.fx.status, b.fx.status);
  add("valid", from.fx.valid, a.fx.valid, b.fx.valid);
  const uint64_t pointers = pointer_bits(host);
  add("fop", from.fx.opcode, a.fx.opcode, b.fx.opcode, pointers);
  add("fip", from.fx.instruction_pointer, a.fx.instruction_pointer, b.fx.instruction_pointer, pointers);
  add("fdp", from.fx.data_pointer, a.fx.data_pointer, b.fx.data_pointer, pointers);
  static constexpr const char* kStNames[] = {"st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"};
  static constexpr const char* kSignNames[] = {"st0 se", "st1 se", "st2 se", "st3 se",
                                               "st4 se", "st5 se", "st6 se", "st7 se"};
  for (unsigned i = 0; i < 8; ++i) {
    add(kSignNames[i], from.fx.st[i].sign_exponent, a.fx.st[i].sign_exponent, b.fx.st[i].sign_exponent);
    add(kStNames[i], from.fx.st[i].significand, a.fx.st[i].significand, b.fx.st[i].significand);
  }
  static constexpr const char* kXmmNames[] = {"xmm0", "xmm1", "xmm2",  "xmm3",  "xmm4",  "xmm5",  "xmm6",  "xmm7",
                                              "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"};
  static constexpr const char* kYmmNames[] = {"ymm0 hi",  "ymm1 hi",  "ymm2 hi",  "ymm3 hi", "ymm4 hi",  "ymm5 hi",
                                              "ymm6 hi",  "ymm7 hi",  "ymm8 hi",  "ymm9 hi", "ymm10 hi", "ymm11 hi",
                                              "ymm12 hi", "ymm13 hi", "ymm14 hi", "ymm15 hi"};
  for (unsigned i = 0; i < 16; ++i) {
    for (const unsigned half : {1u, 0u}) {
      add(kYmmNames[i], from.ymm_high[i].qwords[half], a.ymm_high[i].qwords[half], b.ymm_high[i].qwords[half]);
    }
  }
  for (unsigned i = 0; i < 16; ++i) {
    for (const unsigned half : {1u, 0u}) {
      add(kXmmNames[i], from.fx.xmm[i].qwords[half], a.fx.xmm[i].qwords[half], b.fx.xmm[i].qwords[half]);
    }
  }
}

}  // namespace

bool outcomes_agree(const TestCase& test, const Outcome& host, const Outcome& interpreter) {
  uint64_t difference = 0;
  compare_all(test, host, interpreter, [&](const char*, uint64_t, uint64_t a, uint64_t b, uint64_t compared) {
    difference |= (a ^ b) & compared;
  });
  return difference == 0;
}

std::vector<Field> fields(const TestCase& test, const Outcome& host, const Outcome& interpreter) {
  std::vector<Field> result;
  compare_all(test, host, interpreter,
              [&](const char* name, uint64_t initial, uint64_t a, uint64_t b, uint64_t compared) {
                result.push_back({name, initial, a, b, compared});
              });
  return result;
}

}  // namespace calco::oracle
