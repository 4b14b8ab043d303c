#include "devices/irq/local_apic_timer.h"

#include <gtest/gtest.h>

#include "machine/core/clock.h"

namespace calco::devices {
namespace {

// Time that passes with every look at it, as on a host that gives its processor away between two instructions.
class RestlessClock final : public Clock {
 public:
  int64_t now() const override { return now_ += 1'000'000; }

 private:
  mutable int64_t now_ = 0;
};

struct RestlessTimer {
  RestlessClock clock;
  bool alarmed = false;
  LocalApicTimer timer{clock,
                       {.ticks_now = [this] { return static_cast<uint64_t>(clock.now()); },
                        .time_of = [](uint64_t ticks) { return static_cast<int64_t>(ticks); }},
                       [this] { alarmed = true; }};
};

// Debian's kernel with four processors: a lost alarm left one of them asleep for ever.
TEST(LocalApicTimer, CountThatIsOverWhileItIsBeingSetStillFires) {
  RestlessTimer rig;
  rig.timer.configure(LocalApicTimer::Mode::OneShot, false);
  rig.timer.set_initial_count(15);
  rig.clock.run_expired();
  EXPECT_TRUE(rig.alarmed);
  EXPECT_TRUE(rig.timer.take_expiry());
}

TEST(LocalApicTimer, DeadlineThatPassesWhileItIsBeingSetStillFires) {
  RestlessTimer rig;
  rig.timer.configure(LocalApicTimer::Mode::TscDeadline, false);
  const bool due = rig.timer.set_tsc_deadline(static_cast<uint64_t>(rig.clock.now()) + 1'500'000);
  rig.clock.run_expired();
  EXPECT_FALSE(due);
  EXPECT_TRUE(rig.alarmed);
  EXPECT_TRUE(rig.timer.take_expiry());
}

// KVM takes the timer over, and must let it expire.
TEST(LocalApicTimer, CountThatIsOverButNotToldHasOneToGo) {
  RestlessTimer rig;
  rig.timer.configure(LocalApicTimer::Mode::OneShot, false);
  rig.timer.set_initial_count(15);
  EXPECT_EQ(rig.timer.registers().current_count, 1u);
  rig.clock.run_expired();
  EXPECT_TRUE(rig.timer.take_expiry());
  EXPECT_EQ(rig.timer.registers().current_count, 0u);
}

}  // namespace
}  // namespace calco::devices
