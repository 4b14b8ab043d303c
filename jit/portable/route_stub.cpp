#include "jit/portable/route_stub.h"

#include <array>
#include <cstring>

#include "jit/runtime/abi.h"

namespace calco::jit {

namespace {

#if defined(__x86_64__)

struct [[gnu::packed]] Stub {
  std::array<uint8_t, 2> load = {0x49, 0xBA};  // mov r10, route
  uint64_t route;
  std::array<uint8_t, 3> store = {0x4D, 0x89, 0x95};  // mov [r13 + offset], r10
  int32_t offset;
  std::array<uint8_t, 3> jump = {0x41, 0xFF, 0x22};  // jmp [r10]

  Stub(const Route& to, int state_offset) : route(reinterpret_cast<uintptr_t>(&to)), offset(state_offset) {}
};
bool reaches(int) { return true; }

#elif defined(__aarch64__)

// X21 is the second argument register of preserve_none, X16 and X17 are what calls may change on their way.
struct Stub {
  uint32_t load = 0x58000090;         // ldr x16, route (16 bytes ahead)
  uint32_t store;                     // str x16, [x21, #offset]
  uint32_t load_target = 0xF9400211;  // ldr x17, [x16]
  uint32_t jump = 0xD61F0220;         // br x17
  uint64_t route;

  Stub(const Route& to, int state_offset)
      : store(0xF90002B0 | static_cast<uint32_t>(state_offset) / 8 << 10), route(reinterpret_cast<uintptr_t>(&to)) {}
};
bool reaches(int state_offset) { return state_offset >= 0 && state_offset % 8 == 0 && state_offset / 8 < 4096; }

#else

struct Stub {
  Stub(const Route&, int) {}
};
bool reaches(int) { return false; }

#endif

}  // namespace

bool can_emit_route_stubs(int offset) { return reaches(offset - kStateBias); }

const uint8_t* emit_route_stub(CodeCache& cache, const Route& route, int offset) {
  const Stub stub(route, offset - kStateBias);
  uint8_t* const code = cache.allocate_code(sizeof stub);
  if (code == nullptr) return nullptr;
  std::memcpy(code, &stub, sizeof stub);
  const uint8_t* const executable = cache.executable(code);
  char* const begin = reinterpret_cast<char*>(const_cast<uint8_t*>(executable));
  __builtin___clear_cache(begin, begin + sizeof stub);
  return executable;
}

}  // namespace calco::jit
