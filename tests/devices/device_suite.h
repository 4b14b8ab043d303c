// The tests that every Device passes: reset, save and load, truncated snapshots, hostile register accesses.
//
// A *rig* is a default-constructible struct that owns a device and what the device needs:
//
//   struct PitRig {
//     ManualClock clock;                                            // optional; time passes between the pokes
//     devices::Pit8254 pit{clock, IrqLine()};
//     Device& device() { return pit; }
//     std::vector<WindowUnderTest> windows() { return {{&pit, 4}, {&pit.port_61(), 1}}; }
//   };
//   TEST(Pit, PassesTheDeviceSuite) { check_device<PitRig>(); }
//
// A device without registers of its own returns no windows. A device that keeps state over a reset (battery-backed
// memory) calls the parts of the suite that apply instead of check_device().
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "machine/core/archive.h"
#include "machine/core/clock.h"
#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco {

// A window of the device and how many bytes of it the machine maps.
struct WindowUnderTest {
  RegisterWindow* window;
  uint64_t length;
};

// A reproducible sequence of register values (xorshift64).
class PokeSequence {
 public:
  explicit PokeSequence(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  uint64_t state_;
};

inline std::vector<uint8_t> saved_state(Device& device) {
  Archive archive;
  device.serialize(archive);
  return archive.bytes();
}

inline void load_state(Device& device, std::span<const uint8_t> bytes) {
  Archive archive(bytes);
  device.serialize(archive);
}

template <typename Rig>
void pass_time(Rig& rig, int64_t nanoseconds) {
  if constexpr (requires { rig.clock.advance(nanoseconds); }) rig.clock.advance(nanoseconds);
}

// Random aligned writes, with a read now and then, over every window; `step` ns of guest time pass after each.
template <typename Rig>
void poke_registers(Rig& rig, uint64_t seed, int count, int64_t step) {
  PokeSequence sequence(seed);
  std::vector<WindowUnderTest> windows = rig.windows();
  for (int poke = 0; poke < count && !windows.empty(); ++poke) {
    const WindowUnderTest& target = windows[sequence.next() % windows.size()];
    const unsigned widest = std::min<unsigned>(target.window->maximum_access_size(), 8);
    unsigned size = 1u << (sequence.next() % 4);
    while (size > widest || size > target.length) size /= 2;
    const uint64_t offset = sequence.next() % (target.length / size) * size;
    if (sequence.next() % 4 == 0) {
      target.window->read(offset, size);
    } else {
      target.window->write(offset, size, sequence.next() & floating_bus(size));
    }
    pass_time(rig, step);
  }
}

// "The constructor leaves the device in this state too."
template <typename Rig>
void check_reset_restores_the_fresh_state() {
  auto rig = std::make_unique<Rig>();
  const std::vector<uint8_t> fresh = saved_state(rig->device());
  rig->device().reset();
  EXPECT_EQ(saved_state(rig->device()), fresh) << "the constructor and reset() disagree";
  poke_registers(*rig, 0x9e3779b97f4a7c15, 500, 0);
  rig->device().reset();
  EXPECT_EQ(saved_state(rig->device()), fresh) << "register writes survive a reset";
}

template <typename Rig>
void check_saved_state_survives_a_round_trip() {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    constexpr int kPokes = 200;
    constexpr int64_t kStep = 997;
    auto original = std::make_unique<Rig>();
    poke_registers(*original, seed * 0x2545f4914f6cdd1d, kPokes, kStep);
    const std::vector<uint8_t> saved = saved_state(original->device());
    EXPECT_EQ(saved_state(original->device()), saved) << "saving changes the device, seed " << seed;

    auto copy = std::make_unique<Rig>();
    pass_time(*copy, original->windows().empty() ? 0 : kPokes * kStep);
    load_state(copy->device(), saved);
    EXPECT_EQ(saved_state(copy->device()), saved) << "loading loses state, seed " << seed;
  }
}

template <typename Rig>
void check_truncated_archive_is_refused() {
  auto rig = std::make_unique<Rig>();
  const std::vector<uint8_t> saved = saved_state(rig->device());
  const size_t step = std::max<size_t>(1, saved.size() / 200);
  for (size_t length = 0; length < saved.size(); length += step) {
    auto victim = std::make_unique<Rig>();
    EXPECT_THROW(load_state(victim->device(), std::span(saved).first(length)), ArchiveError) << "length " << length;
  }
}

// Every size at every offset (a stride through windows of more than 4 KiB) answers without crashing; what it answers
// is the business of the device's own tests.
template <typename Rig>
void check_hostile_accesses_are_survived() {
  auto rig = std::make_unique<Rig>();
  PokeSequence sequence(0xd1b54a32d192ed03);
  for (const WindowUnderTest& target : rig->windows()) {
    const uint64_t stride = target.length > 4096 ? target.length / 4096 | 1 : 1;
    for (unsigned size = 1; size <= std::min(8u, target.window->maximum_access_size()); size *= 2) {
      for (uint64_t offset = 0; offset + size <= target.length; offset += stride) {
        target.window->read(offset, size);
        for (uint64_t value : {uint64_t{0}, ~uint64_t{0}, sequence.next()}) {
          target.window->write(offset, size, value & floating_bus(size));
        }
        target.window->read(offset, size);
        pass_time(*rig, 100);
      }
    }
  }
  pass_time(*rig, 1'000'000);
  rig->device().reset();
}

template <typename Rig>
void check_device() {
  check_reset_restores_the_fresh_state<Rig>();
  check_saved_state_survives_a_round_trip<Rig>();
  check_truncated_archive_is_refused<Rig>();
  check_hostile_accesses_are_survived<Rig>();
}

}  // namespace calco
