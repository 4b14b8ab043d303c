#include "jit/runtime/code_patches.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>

namespace calco::jit {

namespace {

// JMP rel32 with padding: what takes the place of a translation's first instruction.
uint64_t jump_bytes(const uint8_t* from, const uint8_t* to) {
  constexpr unsigned kJumpLength = 5;
  const auto displacement = static_cast<uint32_t>(to - (from + kJumpLength));
  return 0xE9 | uint64_t{displacement} << 8 | uint64_t{0x909090} << 40;
}

// CMP, JNE, JMP.
constexpr size_t kHeadBytes = 8 + 6 + 5;

void write_code(CodeCache& code, const void* executable, uint64_t bytes) {
  __atomic_store_n(reinterpret_cast<uint64_t*>(code.writable(executable)), bytes, __ATOMIC_RELEASE);
}

}  // namespace

void note_code(CodeCache& code, Translation& translation) {
  std::memcpy(&translation.first_bytes, code.writable(translation.entry), 8);
  if (translation.better_code != nullptr) std::memcpy(&translation.body_bytes, code.writable(translation.body), 8);
  translation.set_runnable(true);
}

void cut_entry(CodeCache& code, Translation& translation) {
  write_code(code, translation.entry,
             jump_bytes(static_cast<const uint8_t*>(translation.entry), translation.head_exit));
}

// JMP through memory, for the code may be anywhere.
void redirect_entry(CodeCache& code, Translation& translation, const void* better) {
  uint64_t bytes = translation.body_bytes;
  if (better != nullptr) {
    constexpr unsigned kJumpLength = 6;
    const auto displacement = static_cast<uint32_t>(reinterpret_cast<const uint8_t*>(translation.better_code) -
                                                    (translation.body + kJumpLength));
    __atomic_store_n(translation.better_code, better, __ATOMIC_RELEASE);
    bytes = 0x25FF | uint64_t{displacement} << 16 | uint64_t{0x9090} << 48;
  }
  write_code(code, translation.body, bytes);
}

const void* new_entry(CodeCache& code, Translation& cut) {
  uint8_t* head = code.allocate_code(kHeadBytes);
  if (head == nullptr) return nullptr;
  // The first instruction, which asks whether somebody wants the processor, and jumps to what follows from it.
  std::memcpy(head, &cut.first_bytes, sizeof(cut.first_bytes));
  uint8_t* at = head + sizeof(cut.first_bytes);
  const auto emit_jump = [&](std::initializer_list<uint8_t> opcode, const uint8_t* target) {
    at = std::copy(opcode.begin(), opcode.end(), at);
    const auto displacement = static_cast<uint32_t>(target - (code.executable(at) + 4));
    std::memcpy(at, &displacement, 4);
    at += 4;
  };
  constexpr uint8_t kJumpIfNotZero = 0x85;
  emit_jump({0x0F, kJumpIfNotZero}, cut.head_exit);
  emit_jump({0xE9}, cut.body);
  return code.executable(head);
}

void set_target(CodeCache& code, Link& link, const uint8_t* target) {
  if (link.cell) {
    __atomic_store_n(reinterpret_cast<const uint8_t**>(link.site), target, __ATOMIC_RELEASE);
    return;
  }
  constexpr int kDisplacementBytes = 4;
  const uint8_t* behind = code.executable(link.site) + kDisplacementBytes;
  __atomic_store_n(reinterpret_cast<uint32_t*>(link.site), static_cast<uint32_t>(target - behind), __ATOMIC_RELEASE);
}

}  // namespace calco::jit
