// Speed of the interpreter on busy loops of loads, ALU operations and branches with paging on, in millions of guest
// instructions a second. Prints the median of several runs of each loop.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <vector>

#include "tests/cpu/cpu_fixture.h"

namespace {

using namespace calco::cpu;

constexpr uint8_t kHlt = 0xF4;

struct Loop {
  std::string_view name;
  std::vector<uint8_t> code;  // counts down ECX and ends in HLT
  uint32_t iterations;
};

// Processor time of this thread: what other programs on the machine take does not count.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double millions_a_second(const Loop& loop) {
  CpuFixture machine;
  machine.enter_64_bit_mode();
  machine.load_code(loop.code);
  Cpu& cpu = *machine.cpu;
  cpu.registers[kRcx] = loop.iterations;
  cpu.registers[kRsi] = CpuFixture::kData;
  cpu.registers[kRdi] = CpuFixture::kData;
  const double begin = thread_seconds();
  cpu.run();
  return static_cast<double>(cpu.instructions_retired) / (thread_seconds() - begin) / 1e6;
}

}  // namespace

int main() {
  const std::vector<Loop> loops = {
      {"load, add, xor, add, dec, jnz",
       {0x48, 0x8B, 0x06,        // mov rax, [rsi]
        0x48, 0x01, 0xC2,        // add rdx, rax
        0x48, 0x31, 0xD3,        // xor rbx, rdx
        0x48, 0x83, 0xC2, 0x07,  // add rdx, 7
        0xFF, 0xC9,              // dec ecx
        0x75, 0xEF,              // jnz
        kHlt},
       20'000'000},
      {"load, add, cmp, jb, store, sub, jnz",
       {0x48, 0x8B, 0x06,        // mov rax, [rsi]
        0x48, 0x01, 0xC2,        // add rdx, rax
        0x48, 0x39, 0xD0,        // cmp rax, rdx
        0x72, 0x00,              // jb next
        0x48, 0x89, 0x57, 0x08,  // mov [rdi + 8], rdx
        0x83, 0xE9, 0x01,        // sub ecx, 1
        0x75, 0xEC,              // jnz
        kHlt},
       20'000'000},
      {"call, push, pop, ret",
       {0xE8, 0x05, 0x00, 0x00, 0x00,  // call function
        0xFF, 0xC9,                    // dec ecx
        0x75, 0xF7,                    // jnz
        kHlt,
        0x55,              // function: push rbp
        0x48, 0x89, 0xE5,  // mov rbp, rsp
        0x5D,              // pop rbp
        0xC3},             // ret
       10'000'000},
  };
  for (const Loop& loop : loops) {
    std::vector<double> runs;
    for (int i = 0; i < 5; ++i) runs.push_back(millions_a_second(loop));
    std::sort(runs.begin(), runs.end());
    fmt::print("{:8.0f} million instructions a second: {}\n", runs[runs.size() / 2], loop.name);
  }
}
