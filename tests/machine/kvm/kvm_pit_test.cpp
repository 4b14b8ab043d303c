// The 8254 goes into the kernel and comes back.
#include "machine/accel/kvm/kvm_pit.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/machine/kvm/kvm_fixture.h"
#include "tests/machine/monitored_machine.h"

namespace calco::machine {
namespace {

using devices::Pit8254;
using devices::PitCounter;

constexpr int64_t kStart = 1'000'000'000'000;  // ns
constexpr int64_t kPeriod = 0x10000;

// Time (ns) by which `ticks` have passed since kStart.
int64_t after(int64_t ticks) {
  return kStart + 1 + static_cast<int64_t>(static_cast<double>(ticks) * 1e9 / Pit8254::kFrequency);
}

// As loaded at kStart; the kernel changes nothing of it but by programs of the guest.
KvmPitStart started(const Pit8254::Registers& registers) { return {registers, to_kvm_pit(registers), kStart}; }

Pit8254::Registers with_counter_0(uint8_t control, uint16_t count, int64_t elapsed) {
  Pit8254::Registers registers;
  for (PitCounter::Registers& counter : registers.counters) counter.count = 1;
  registers.counters[0] = {.control = control,
                           .counting = true,
                           .count = count,
                           .elapsed = elapsed,
                           .latched_count = {},
                           .latched_status = {}};
  return registers;
}

TEST(KvmPitState, IsExactBothWays) {
  Pit8254::Registers registers = with_counter_0(0x34, 0x1234, 0x234);
  registers.counters[0].expects_high_write = true;
  registers.counters[0].written_low = 0x55;
  registers.counters[0].latched_count = 0x77;
  registers.counters[2] = {.control = 0x36,
                           .counting = true,
                           .count = 0,
                           .elapsed = 1000,
                           .reads_high_next = true,
                           .latched_count = {},
                           .latched_status = 0xB6};
  registers.control_port_b = 3;
  registers.irq_connected = false;
  EXPECT_EQ(from_kvm_pit(to_kvm_pit(registers), started(registers), kStart), registers);
}

TEST(KvmPitState, PeriodicCounterComesBackWithItsOwnCycle) {
  const KvmPitStart start = started(with_counter_0(0x34, 0, 1000));
  EXPECT_EQ(start.state.channels[0].count, kPeriod);
  EXPECT_EQ(from_kvm_pit(start.state, start, after(500)).counters[0].elapsed, 1500);
}

// The kernel's cycle began 1000 ticks late.
TEST(KvmPitState, EdgeThatIsStillToComeThereIsOwed) {
  const KvmPitStart start = started(with_counter_0(0x34, 0, 1000));
  const auto owed = [&start](int64_t ticks) { return kvm_pit_owed(start.state, start, after(ticks), after(ticks)); };
  EXPECT_EQ(owed(kPeriod - 1001), 0);
  EXPECT_EQ(owed(kPeriod - 999), 1);
  EXPECT_EQ(owed(kPeriod - 1), 1);
  EXPECT_EQ(owed(kPeriod + 1), 0);
}

TEST(KvmPitState, EdgesThatNobodyReadAnyMoreAreOwed) {
  const KvmPitStart start = started(with_counter_0(0x34, 0, 0));
  EXPECT_EQ(kvm_pit_owed(start.state, start, after(3 * kPeriod + 1), after(kPeriod + 1)), 2);
}

TEST(KvmPitState, OneShotCounterExpiresWhenItWouldHave) {
  const KvmPitStart start = started(with_counter_0(0x38, 5000, 3000));
  EXPECT_EQ(start.state.channels[0].count, 2000u);
  const PitCounter::Registers after_it = from_kvm_pit(start.state, start, after(100)).counters[0];
  EXPECT_EQ(after_it.count, 5000);
  EXPECT_EQ(after_it.elapsed, 3100);
}

// It counts on from FFFFH; the low half is what the guest reads.
TEST(KvmPitState, OneShotCounterThatHasExpiredDoesNotExpireAgain) {
  const KvmPitStart start = started(with_counter_0(0x38, 5000, 5001));
  EXPECT_EQ(start.state.channels[0].count, 0xFFFFFFFF);
  EXPECT_EQ(start.state.channels[0].mode, 4);
  EXPECT_EQ(from_kvm_pit(start.state, start, after(10)).counters[0].elapsed, 5011);
}

TEST(KvmPitState, CounterThatTheGuestLoadsBeginsAnew) {
  const KvmPitStart start = started(with_counter_0(0x34, 0, 1000));
  kvm_pit_state2 state = start.state;
  state.channels[0].count = 5000;
  state.channels[2].mode = 3;
  state.channels[2].rw_mode = 3;
  state.channels[2].count = 6000;
  state.channels[2].count_load_time = after(100);
  const Pit8254::Registers found = from_kvm_pit(state, start, after(400));
  EXPECT_EQ(found.counters[0].count, 5000);
  EXPECT_EQ(found.counters[0].elapsed, 0);
  EXPECT_EQ(found.counters[2].control, 0x36);
  EXPECT_NEAR(static_cast<double>(found.counters[2].elapsed), 300, 1);
  EXPECT_EQ(kvm_pit_owed(state, start, after(kPeriod), after(kPeriod)), 0);
}

// --- A machine -------------------------------------------------------------------------------------------------------

// Counts IRQ 0, 1,000 times a second, in word 500H.
// xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7000h; mov word [20h],handler; mov [22h],cs; the 8259 (11h,8,4,1; mask FEh);
// mov al,34h; out 43h,al; mov al,a9h; out 40h,al; mov al,4; out 40h,al; l: sti; hlt; jmp l;
// handler: inc word [500h]; mov al,20h; out 20h,al; iret
constexpr std::initializer_list<uint8_t> kCountTicks = {
    0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0, 0xBC, 0x00, 0x70, 0xC7, 0x06, 0x20, 0x00, 0x40, 0x00, 0x8C, 0x0E, 0x22, 0x00,
    0xB0, 0x11, 0xE6, 0x20, 0xB0, 0x08, 0xE6, 0x21, 0xB0, 0x04, 0xE6, 0x21, 0xB0, 0x01, 0xE6, 0x21, 0xB0, 0xFE, 0xE6,
    0x21, 0xB0, 0x34, 0xE6, 0x43, 0xB0, 0xA9, 0xE6, 0x40, 0xB0, 0x04, 0xE6, 0x40, 0xFB, 0xF4, 0xEB, 0xFC, 0x90, 0x90,
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xFF, 0x06, 0x00, 0x05, 0xB0, 0x20, 0xE6, 0x20, 0xCF};

using std::chrono::milliseconds;

// On the machine's thread.
int ticks(Machine& machine) {
  int count = 0;
  machine.while_paused([&] { count = machine.board().map.read_value<uint16_t>(0x500); });
  return count;
}
int64_t counted(Machine& machine) {
  int64_t elapsed = 0;
  machine.while_paused([&] { elapsed = machine.board().pit->registers().counters[0].elapsed; });
  return elapsed;
}

// The guest gets time before it.
void run_on(Machine& machine, const std::function<void()>& task) {
  std::this_thread::sleep_for(milliseconds(5));
  std::promise<void> done;
  machine.post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

TEST(KvmPitOfAMachine, CycleGoesOnAcrossEngines) {
  CALCO_NEEDS_KVM();
  MonitoredMachine guest({0xFA, 0xF4}, {"-accel", "interp", "-accel", "kvm,kernel-irqchip=on"});
  Machine& machine = guest.machine();
  const auto begin = std::chrono::steady_clock::now();
  run_on(machine, [&machine] {
    machine.while_paused([&machine] {
      machine.board().pit->write(3, 1, 0x34);
      machine.board().pit->write(0, 1, 0);
      machine.board().pit->write(0, 1, 0);
    });
  });
  int64_t last = 0;
  for (const char* engine : {"kvm", "interp", "kvm", "jit"}) {
    std::this_thread::sleep_for(milliseconds(20));
    run_on(machine, [&] {
      const int64_t before = counted(machine);
      machine.exchange_engine(engine);
      EXPECT_GE(before, last + 20 * 1193) << engine;
      last = before;
      EXPECT_GE(counted(machine), before) << engine;
    });
  }
  run_on(machine, [&] { last = counted(machine); });
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(static_cast<double>(last), whole.count() * Pit8254::kFrequency);
}

// Each is told to the kernel's 8254 when it ends; that one gives none before.
TEST(KvmPitOfAMachine, TicksThroughThe8259) {
  CALCO_NEEDS_KVM();
  MonitoredMachine guest(kCountTicks, {"-accel", "kvm,kernel-irqchip=on"});
  Machine& machine = guest.machine();
  for (int count = 0; count < 100;) run_on(machine, [&] { count = ticks(machine); });
}

// The same by vector 20H of the I/O APIC, which the test programs, and of the local APIC in x2APIC mode.
// xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7000h; mov word [80h],handler; mov [82h],cs; IA32_APIC_BASE |= c00h;
// spurious vector register = 1ffh; the 8254; l: sti; hlt; jmp l; handler: inc word [500h]; end of interrupt; iret
constexpr std::initializer_list<uint8_t> kCountApicTicks = {
    0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0, 0xBC, 0x00, 0x70, 0xC7, 0x06, 0x80, 0x00, 0x48, 0x00, 0x8C, 0x0E, 0x82, 0x00,
    0x66, 0xB9, 0x1B, 0x00, 0x00, 0x00, 0x0F, 0x32, 0x66, 0x0D, 0x00, 0x0C, 0x00, 0x00, 0x0F, 0x30, 0x66, 0xB9, 0x0F,
    0x08, 0x00, 0x00, 0x66, 0x31, 0xD2, 0x66, 0xB8, 0xFF, 0x01, 0x00, 0x00, 0x0F, 0x30, 0xB0, 0x34, 0xE6, 0x43, 0xB0,
    0xA9, 0xE6, 0x40, 0xB0, 0x04, 0xE6, 0x40, 0xFB, 0xF4, 0xEB, 0xFC, 0x90, 0x90, 0x90, 0x90, 0xFF, 0x06, 0x00, 0x05,
    0x66, 0xB9, 0x0B, 0x08, 0x00, 0x00, 0x66, 0x31, 0xC0, 0x66, 0x31, 0xD2, 0x0F, 0x30, 0xCF};

TEST(KvmPitOfAMachine, TicksThroughTheIoApic) {
  CALCO_NEEDS_KVM();
  MonitoredMachine guest(kCountApicTicks,
                         {"-cpu", "qemu64,+x2apic", "-accel", "interp", "-accel", "kvm,kernel-irqchip=on"});
  Machine& machine = guest.machine();
  run_on(machine, [&machine] {
    machine.while_paused([&machine] {
      devices::IoApic::Registers pins = machine.board().io_apic->registers();
      pins.entries[2] = 0x20;
      machine.board().io_apic->set_registers(pins);
    });
    machine.exchange_engine("kvm");
  });
  for (int count = 0; count < 100;) run_on(machine, [&] { count = ticks(machine); });
}

// KVM would make up for those that came meanwhile.
TEST(KvmPitOfAMachine, StandsStillWhileTheGuestIsStopped) {
  CALCO_NEEDS_KVM();
  MonitoredMachine guest(kCountTicks, {"-accel", "kvm,kernel-irqchip=on"});
  Machine& machine = guest.machine();
  int before = 0, after = 0, later = 0;
  while (before < 20) run_on(machine, [&] { before = ticks(machine); });
  run_on(machine, [&] {
    machine.stop();
    before = ticks(machine);
    const int64_t stands = counted(machine);
    std::this_thread::sleep_for(milliseconds(600));
    EXPECT_EQ(counted(machine), stands);
    machine.resume();
  });
  run_on(machine, [&] { after = ticks(machine); });
  EXPECT_LT(after - before, 400);
  for (later = after; later < after + 20;) run_on(machine, [&] { later = ticks(machine); });
}

TEST(KvmPitOfAMachine, OwedEdgesArePaid) {
  CALCO_NEEDS_KVM();
  MonitoredMachine guest(kCountTicks, {"-accel", "interp", "-accel", "kvm,kernel-irqchip=on"});
  Machine& machine = guest.machine();
  int before = 0, after = 0;
  while (before < 20) run_on(machine, [&] { before = ticks(machine); });
  run_on(machine, [&] {
    machine.stop();
    before = ticks(machine);
    machine.while_paused([&machine] {
      Pit8254::Registers pit = machine.board().pit->registers();
      pit.owed = 1000;
      machine.board().pit->set_registers(pit);
    });
    machine.exchange_engine("kvm");
    machine.resume();
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto passed = [&begin] { return (std::chrono::steady_clock::now() - begin) / milliseconds(1); };
  while (after - before < passed() + 50 && passed() < 5000) run_on(machine, [&] { after = ticks(machine); });
  EXPECT_LT(passed(), 5000);
}

}  // namespace
}  // namespace calco::machine
