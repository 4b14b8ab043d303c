#include "jit/runtime/code_patches.h"

#include <cstddef>

#include "jit/portable/entry.h"

namespace calco::jit {

namespace {

void set_code(Translation& translation, const void* code) {
  translation.body = static_cast<const uint8_t*>(code);
  translation.set_runnable(code != nullptr);
  __atomic_store_n(translation.better_code, code, __ATOMIC_RELEASE);
}

}  // namespace

void note_code(CodeCache&, Translation&) {}
void cut_entry(CodeCache&, Translation& translation) { set_code(translation, nullptr); }
void redirect_entry(CodeCache&, Translation& translation, const void* better) { set_code(translation, better); }

const void* new_entry(CodeCache& code, Translation& cut) {
  const char* const member = reinterpret_cast<const char*>(cut.better_code);
  const auto& entry = *reinterpret_cast<const Entry*>(member - offsetof(Entry, code));
  return make_entry(code, cut, entry.exit_link_offset) ? cut.entry : nullptr;
}

void set_target(CodeCache&, Link& link, const uint8_t* target) {
  __atomic_store_n(reinterpret_cast<const uint8_t**>(link.site), target, __ATOMIC_RELEASE);
}

}  // namespace calco::jit
