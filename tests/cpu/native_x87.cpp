#include "tests/cpu/native_x87.h"

#include <sys/mman.h>

#include <algorithm>
#include <stdexcept>

namespace calco::cpu::test {
namespace {

constexpr size_t kPageSize = 4096;

// rdi: image, rsi: memory operand, rcx: flags and rax.
constexpr uint8_t kProlog[] = {
    0x48, 0x0F, 0xAE, 0x0F,  // fxrstor64 [rdi]
    0xFF, 0x31,              // push qword [rcx]
    0x48, 0x8B, 0x41, 0x08,  // mov rax, [rcx + 8]
    0x9D,                    // popfq
};
constexpr uint8_t kEpilog[] = {
    0x48, 0x89, 0x41, 0x08,  // mov [rcx + 8], rax
    0x9C,                    // pushfq
    0x8F, 0x01,              // pop qword [rcx]
    0x48, 0x0F, 0xAE, 0x07,  // fxsave64 [rdi]
    0xDB, 0xE2,              // fnclex
    0xDB, 0xE3,              // fninit
    0xC3,                    // ret
};

}  // namespace

NativeX87::NativeX87() {
  void* page = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::runtime_error("no memory for native code");
  page_ = static_cast<uint8_t*>(page);
}
NativeX87::~NativeX87() { munmap(page_, kPageSize); }

void NativeX87::run(std::span<const uint8_t> instruction, FloatMachine& machine) {
  uint8_t* end = std::copy(std::begin(kProlog), std::end(kProlog), page_);
  instruction_address_ = reinterpret_cast<uint64_t>(end);
  end = std::copy(instruction.begin(), instruction.end(), end);
  std::copy(std::begin(kEpilog), std::end(kEpilog), end);
  uint64_t registers[2] = {machine.flags, machine.rax};
  using Code = void (*)(FxsaveImage*, uint8_t*, uint64_t, uint64_t*);
  const auto code = reinterpret_cast<Code>(page_);
  code(&machine.image, machine.memory.data(), 0, registers);
  machine.flags = registers[0];
  machine.rax = registers[1];
}

}  // namespace calco::cpu::test
