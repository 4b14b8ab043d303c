// The 8254 in the kernel: its state, both ways.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>

#include "devices/timer/pit8254.h"

namespace calco::machine {

// What was given to KVM's 8254, and how its counters stood there right afterwards.
struct KvmPitStart {
  devices::Pit8254::Registers registers;
  kvm_pit_state2 state{};
  int64_t time = 0;  // CLOCK_MONOTONIC, ns
};

// Pure functions. KVM begins to count where it is given a count: a counter that counts down once gets what is left of
// it, and a periodic one begins its cycle anew.
kvm_pit_state2 to_kvm_pit(const devices::Pit8254::Registers& registers);
// Counters that the guest has not programmed since `start` have counted on from what they were. Others count since they
// were loaded; of counter 0 KVM does not tell when that was: its cycle begins now.
devices::Pit8254::Registers from_kvm_pit(const kvm_pit_state2& state, const KvmPitStart& start, int64_t now);
// Rising edges of counter 0, where it is periodic: by how many those of KVM's until `kernel_until` are behind those
// that there should have been until `now`. Its cycle began later.
int64_t kvm_pit_owed(const kvm_pit_state2& state, const KvmPitStart& start, int64_t now, int64_t kernel_until);

// Threads: device lock held.
class KvmPit {
 public:
  // Creates it, with port 61H, in a virtual machine that has the interrupt controllers. Throws std::system_error, as
  // the other functions.
  explicit KvmPit(int machine);

  // Without what is owed, which is the caller's.
  void load(const devices::Pit8254::Registers& registers);
  // `owed`: edges that KVM's chip is behind. Those are lost, too, that it gave to interrupt controllers which were read
  // before, at `controllers_read` (CLOCK_MONOTONIC, ns).
  devices::Pit8254::Registers registers(std::optional<int64_t> controllers_read = {}) const;
  // Guest time stands still: so does the chip, until it is loaded. registers() are as they are now.
  void stop();
  bool stopped() const { return stopped_.has_value(); }

 private:
  kvm_pit_state2 state() const;

  const int machine_;
  KvmPitStart start_;
  std::optional<devices::Pit8254::Registers> stopped_;
};

// CLOCK_MONOTONIC, ns: the clock of the kernel's 8254.
int64_t monotonic_time();

}  // namespace calco::machine
