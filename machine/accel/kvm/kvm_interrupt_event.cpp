#include "machine/accel/kvm/kvm_interrupt_event.h"

#include <linux/kvm.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

#include "machine/accel/kvm/kvm_call.h"

namespace calco::machine {

KvmInterruptEvent::KvmInterruptEvent(int machine, unsigned line)
    : machine_(machine), line_(line), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
  if (assign(true) < 0) throw std::system_error(errno, std::generic_category(), "KVM_IRQFD");
}

KvmInterruptEvent::~KvmInterruptEvent() { assign(false); }

int KvmInterruptEvent::assign(bool on) const {
  kvm_irqfd request{};
  request.fd = static_cast<uint32_t>(event_.get());
  request.gsi = line_;
  request.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN;
  return kvm_try(machine_, KVM_IRQFD, &request);
}

void KvmInterruptEvent::signal() {
  signalled_.store(true);
  eventfd_write(event_.get(), 1);
}

// The kernel returns from untying an event when it has passed on the last of it.
void KvmInterruptEvent::settle() {
  if (!signalled_.exchange(false)) return;
  if (assign(false) < 0 || assign(true) < 0) throw std::system_error(errno, std::generic_category(), "KVM_IRQFD");
}

}  // namespace calco::machine
