// Where the host's memory differs from what the guest expects of its own.
#pragma once

#include <atomic>
#include <cstdint>

namespace calco::cpu {

#if defined(__x86_64__)
constexpr bool kHostOrdersMemory = true;     // as SDM vol. 3, 9.2 says
constexpr bool kHostLocksMisaligned = true;  // atomic operations work at any address
#else
constexpr bool kHostOrdersMemory = false;
constexpr bool kHostLocksMisaligned = false;
#endif

// In front of the guest's accesses to memory. A load comes behind all earlier loads, a store behind all earlier
// accesses; a load may come before an earlier store, as on x86.
[[gnu::always_inline]] inline void order_before_load() {
  if constexpr (!kHostOrdersMemory) std::atomic_thread_fence(std::memory_order_acquire);
}
[[gnu::always_inline]] inline void order_before_store() {
  if constexpr (!kHostOrdersMemory) std::atomic_thread_fence(std::memory_order_release);
}

// Whether the host's atomic operations work there.
inline bool host_locks(uint64_t address, unsigned size) { return kHostLocksMisaligned || (address & (size - 1)) == 0; }

}  // namespace calco::cpu
