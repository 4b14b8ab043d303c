// ioctl(2) on the descriptors of /dev/kvm (Documentation/virt/kvm/api.rst).
#pragma once

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace calco::machine {

// What the kernel answers, -1 with errno for a refusal. `argument` is a pointer or a number, as the call has it.
inline int kvm_try(int descriptor, unsigned long call, void* argument) { return ::ioctl(descriptor, call, argument); }
inline int kvm_try(int descriptor, unsigned long call, uint64_t argument = 0) {
  return ::ioctl(descriptor, call, argument);
}

// For calls that cannot fail where KVM does what its documentation says. Throws std::system_error with `name`.
template <typename Argument>
int kvm_call(int descriptor, unsigned long call, Argument argument, const char* name) {
  const int answer = kvm_try(descriptor, call, argument);
  if (answer < 0) throw std::system_error(errno, std::generic_category(), name);
  return answer;
}

}  // namespace calco::machine
