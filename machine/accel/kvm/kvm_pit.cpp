#include "machine/accel/kvm/kvm_pit.h"

#include <algorithm>
#include <chrono>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/core/clock.h"

namespace calco::machine {

using devices::Pit8254;
using devices::PitCounter;

namespace {

constexpr uint8_t kGate2 = 1, kSpeakerData = 2;
// Steps of a read or write of two bytes (KVM's RW_STATE).
constexpr uint8_t kLowThenHigh = 3, kHighNext = 4;
constexpr uint32_t kLargestCount = 0x10000;
constexpr uint8_t kNoMode = 0xFF;
constexpr uint16_t kUntouchedCount = 1;  // PitCounter's at power-on

// Which of them the counter is at, by the access bits of its control word.
uint8_t step_of(uint8_t access, bool high_next) {
  if (access != kLowThenHigh) return access;
  return high_next ? kHighNext : kLowThenHigh;
}

unsigned mode_of(const PitCounter::Registers& registers) {
  const unsigned bits = registers.control >> 1 & 7;
  return bits > 5 ? bits - 4 : bits;
}

bool is_periodic(const PitCounter::Registers& registers) { return mode_of(registers) == 2 || mode_of(registers) == 3; }

bool counts_in_bcd(const PitCounter::Registers& registers) { return (registers.control & 1) != 0; }

// The kernel takes counts of 32 bits. A one-shot counter that has expired would expire again: counter 0 does so in an
// hour, which the low half, all that the guest reads, does not show. Of counter 2 the output counts: it is high.
uint32_t count_for_kvm(const PitCounter::Registers& registers, size_t index) {
  const uint32_t count = registers.count == 0 ? kLargestCount : registers.count;
  if (!registers.counting || is_periodic(registers) || counts_in_bcd(registers)) return count;
  const int64_t left = count - registers.elapsed;
  if (left > 0) return static_cast<uint32_t>(left);
  return index == 0 ? 0xFFFF0000u | static_cast<uint16_t>(left) : 1;
}

kvm_pit_channel_state to_kvm_channel(const PitCounter::Registers& registers, size_t index) {
  const uint8_t access = registers.control >> 4 & 3;
  const unsigned mode = mode_of(registers);
  kvm_pit_channel_state state{};
  state.count = count_for_kvm(registers, index);
  state.latched_count = registers.latched_count.value_or(0);
  if (registers.latched_count) state.count_latched = step_of(access, registers.reads_high_next);
  state.status = registers.latched_status.value_or(0);
  state.status_latched = registers.latched_status.has_value();
  state.read_state = step_of(access, registers.reads_high_next);
  state.write_state = step_of(access, registers.expects_high_write);
  state.write_latch = registers.written_low;
  state.rw_mode = access;
  // KVM has counters count from the control word on, but for those that were never programmed.
  const bool untouched = !registers.counting && mode == 0 && registers.count == kUntouchedCount;
  state.mode = untouched ? kNoMode : static_cast<uint8_t>(mode);
  state.bcd = registers.control & 1;
  state.gate = registers.gate;
  return state;
}

int64_t ticks_in(int64_t nanoseconds) {
  return static_cast<int64_t>(multiply_divide(static_cast<uint64_t>(std::max<int64_t>(0, nanoseconds)),
                                              Pit8254::kFrequency, static_cast<uint64_t>(Clock::kSecond)));
}

// The guest has not loaded it since. Loading counter 0 with the same count leaves no trace.
bool goes_on(const kvm_pit_channel_state& now, const kvm_pit_channel_state& then) {
  return now.count == then.count && now.count_load_time == then.count_load_time && now.mode == then.mode &&
         now.bcd == then.bcd && now.rw_mode == then.rw_mode;
}

PitCounter::Registers from_kvm_channel(const kvm_pit_channel_state& state, const KvmPitStart& start, size_t index,
                                       int64_t now) {
  const bool untouched = state.mode > 5;
  PitCounter::Registers registers = start.registers.counters[index];
  if (goes_on(state, start.state.channels[index])) {
    if (registers.counting && registers.gate) registers.elapsed += ticks_in(now - start.time);
  } else {
    registers.control = static_cast<uint8_t>(untouched ? 0x30 : state.rw_mode << 4 | state.mode << 1 | state.bcd);
    registers.counting = !untouched;
    registers.count = untouched ? kUntouchedCount : static_cast<uint16_t>(state.count);
    registers.elapsed = index == 0 ? 0 : ticks_in(now - state.count_load_time);
  }
  registers.gate = state.gate != 0;
  registers.expects_high_write = state.write_state == kHighNext;
  registers.written_low = state.write_latch;
  registers.reads_high_next = state.read_state == kHighNext;
  registers.latched_count.reset();
  if (state.count_latched != 0) registers.latched_count = state.latched_count;
  registers.latched_status.reset();
  if (state.status_latched != 0) registers.latched_status = state.status;
  return registers;
}

}  // namespace

kvm_pit_state2 to_kvm_pit(const Pit8254::Registers& registers) {
  kvm_pit_state2 state{};
  for (size_t i = 0; i < registers.counters.size(); ++i) {
    state.channels[i] = to_kvm_channel(registers.counters[i], i);
  }
  if ((registers.control_port_b & kSpeakerData) != 0) state.flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
  if (!registers.irq_connected) state.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
  return state;
}

Pit8254::Registers from_kvm_pit(const kvm_pit_state2& state, const KvmPitStart& start, int64_t now) {
  Pit8254::Registers registers;
  for (size_t i = 0; i < registers.counters.size(); ++i) {
    registers.counters[i] = from_kvm_channel(state.channels[i], start, i, now);
  }
  registers.control_port_b = state.channels[2].gate != 0 ? kGate2 : 0;
  if ((state.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) != 0) registers.control_port_b |= kSpeakerData;
  registers.irq_connected = (state.flags & KVM_PIT_FLAGS_HPET_LEGACY) == 0;
  return registers;
}

int64_t kvm_pit_owed(const kvm_pit_state2& state, const KvmPitStart& start, int64_t now, int64_t kernel_until) {
  const PitCounter::Registers& counter = start.registers.counters[0];
  const bool ticks = counter.counting && is_periodic(counter) && !counts_in_bcd(counter);
  if (!ticks || !start.registers.irq_connected || !goes_on(state.channels[0], start.state.channels[0])) return 0;
  const int64_t period = counter.count == 0 ? int64_t{kLargestCount} : counter.count;
  return (counter.elapsed % period + ticks_in(now - start.time)) / period -
         ticks_in(kernel_until - start.time) / period;
}

// --- The chip --------------------------------------------------------------------------------------------------------

int64_t monotonic_time() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

KvmPit::KvmPit(int machine) : machine_(machine) {
  kvm_pit_config config{};
  config.flags = KVM_PIT_SPEAKER_DUMMY;  // port 61H too
  kvm_call(machine_, KVM_CREATE_PIT2, static_cast<void*>(&config), "KVM_CREATE_PIT2");
}

kvm_pit_state2 KvmPit::state() const {
  kvm_pit_state2 state{};
  kvm_call(machine_, KVM_GET_PIT2, static_cast<void*>(&state), "KVM_GET_PIT2");
  return state;
}

void KvmPit::load(const Pit8254::Registers& registers) {
  kvm_pit_state2 wanted = to_kvm_pit(registers);
  kvm_call(machine_, KVM_SET_PIT2, static_cast<void*>(&wanted), "KVM_SET_PIT2");
  start_ = {.registers = registers, .state = state(), .time = monotonic_time()};
  stopped_.reset();
}

Pit8254::Registers KvmPit::registers(std::optional<int64_t> controllers_read) const {
  if (stopped_) return *stopped_;
  const kvm_pit_state2 found = state();
  const int64_t now = monotonic_time();
  Pit8254::Registers registers = from_kvm_pit(found, start_, now);
  registers.owed = kvm_pit_owed(found, start_, now, controllers_read.value_or(now));
  return registers;
}

// KVM's would go on, and make up for its edges later. A counter without a mode does nothing.
void KvmPit::stop() {
  if (stopped_) return;
  stopped_ = registers();
  kvm_pit_state2 silent = state();
  silent.channels[0].mode = kNoMode;
  kvm_call(machine_, KVM_SET_PIT2, static_cast<void*>(&silent), "KVM_SET_PIT2");
}

}  // namespace calco::machine
