// Interrupt controllers and timers go into the kernel and come back.
#include "machine/accel/kvm/kvm_interrupt_state.h"

#include <gtest/gtest.h>

#include "tests/machine/kvm/kvm_fixture.h"
#include "tests/machine/monitored_machine.h"

namespace calco::machine {
namespace {

using devices::IoApic;
using devices::LocalApic;
using devices::Pic8259;

Pic8259::Registers some_pic() {
  return {.requests = 0x41,
          .in_service = 0x08,
          .mask = 0xB8,
          .level_triggered = 0x20,
          .vector_base = 0x70,
          .lowest_priority = 2,
          .initialization = Pic8259::Initialization::ExpectIcw4,
          .expects_icw4 = true,
          .single = false,
          .read_in_service = true,
          .poll = false,
          .special_mask = true,
          .special_fully_nested = false,
          .auto_end_of_interrupt = true,
          .rotate_on_auto_end = true};
}

TEST(KvmInterruptState, An8259IsExactBothWays) {
  EXPECT_EQ(from_kvm_pic(to_kvm_pic(some_pic(), 0x40, 0xF8)), some_pic());
}

TEST(KvmInterruptState, AnIoApicIsExactBothWays) {
  IoApic::Registers registers;
  registers.id = 5u << 24;
  registers.index = 0x13;
  registers.entries.fill(1u << 16);
  registers.entries[9] = uint64_t{1} << 56 | 1u << 15 | 1u << 14 | 0x39;
  EXPECT_EQ(from_kvm_io_apic(to_kvm_io_apic(registers, 1u << 9)), registers);
}

TEST(KvmInterruptState, OnlyLevelsAreRequestsOfAnIoApicAgain) {
  IoApic::Registers registers;
  registers.entries[2] = 0x30;
  registers.entries[9] = 1u << 15 | 0x39;
  EXPECT_EQ(to_kvm_io_apic(registers, 1u << 2 | 1u << 9).irr, 1u << 9);
}

LocalApic::Registers some_local_apic() {
  LocalApic::Registers registers;
  registers.base = LocalApic::kDefaultBase | 1u << 11 | 1u << 8;
  registers.requested.insert(0x41);
  registers.in_service.insert(0x93);
  registers.level_triggered.insert(0x93);
  registers.task_priority = 0x20;
  registers.logical_destination = 0x01000000;
  registers.destination_format = 0xFFFFFFFF;
  registers.spurious_vector = 0x1FF;
  registers.error_status = 0;
  registers.command = uint64_t{1} << 56 | 0x500;
  registers.local_vectors = {0x20031, 0x10000, 0x400, 0x700, 0x400, 0xFE};
  registers.timer = {.initial_count = 5'000'000, .current_count = 4'000'000, .divide_configuration = 0xB};
  return registers;
}

TEST(KvmInterruptState, ALocalApicIsExactBothWays) {
  kvm_lapic_state state{};
  to_kvm_local_apic(some_local_apic(), state);
  EXPECT_EQ(from_kvm_local_apic(state, some_local_apic().base, 0), some_local_apic());
}

TEST(KvmInterruptState, OneShotTimerThatHasExpiredDoesNotExpireAgain) {
  LocalApic::Registers registers = some_local_apic();
  registers.local_vectors[0] = 0x31;
  registers.timer.current_count = 0;
  kvm_lapic_state state{};
  to_kvm_local_apic(registers, state);
  EXPECT_EQ(from_kvm_local_apic(state, 0, 0).timer.initial_count, 0u);
}

TEST(KvmInterruptState, DisabledLocalApicLeadsThe8259ToTheBootstrapProcessor) {
  LocalApic::Registers registers = some_local_apic();
  registers.spurious_vector = 0xFF;
  registers.local_vectors.fill(1u << 16);
  kvm_lapic_state state{};
  to_kvm_local_apic(registers, state);
  EXPECT_EQ(state.regs[0x351], 7);
  EXPECT_EQ(from_kvm_local_apic(state, registers.base, 0).local_vectors, registers.local_vectors);
}

// --- Through the kernel ----------------------------------------------------------------------------------------------

// The board's chips get their state under the interpreter and show it under KVM and behind it.
class ShownByTheKernel : public ::testing::TestWithParam<const char*> {};

TEST_P(ShownByTheKernel, StateOfTheControllersIsTheBoards) {
  CALCO_NEEDS_KVM();
  // cli; hlt
  MonitoredMachine guest({0xFA, 0xF4}, {"-accel", "interp", "-accel", GetParam()});
  Machine& machine = guest.machine();
  std::promise<void> done;
  const Pic8259::Registers pic{
      .requests = 0, .mask = 0xB8, .vector_base = 0x70, .lowest_priority = 2, .read_in_service = true};
  LocalApic::Registers apic = some_local_apic();
  apic.timer = {};
  machine.post([&] {
    machine.while_paused([&] {
      PcBoard& board = machine.board();
      board.pic->set_registers(pic, pic);
      board.local_apics[0]->set_registers(apic);
      IoApic::Registers pins = board.io_apic->registers();
      pins.entries[5] = 0x1A935;
      board.io_apic->set_registers(pins);
      board.pit->write(3, 1, 0xB6);
      board.pit->write(2, 1, 0x34);
      board.pit->write(2, 1, 0x12);
    });
    for (const char* engine : {"kvm", "jit", "kvm", "interp"}) {
      machine.exchange_engine(engine);
      machine.while_paused([&] {
        PcBoard& board = machine.board();
        EXPECT_EQ(board.pic->master().registers(), pic) << engine;
        EXPECT_EQ(board.pic->slave().registers(), pic) << engine;
        EXPECT_EQ(board.io_apic->registers().entries[5], 0x1A935u) << engine;
        LocalApic::Registers shown = board.local_apics[0]->registers();
        EXPECT_EQ(shown, apic) << engine;
        EXPECT_EQ(board.pit->registers().counters[2].count, 0x1234) << engine;
        EXPECT_EQ(board.pit->registers().counters[2].control, 0x36) << engine;
      });
    }
    done.set_value();
  });
  done.get_future().wait();
}

// The clock's line is an event (irqfd): an edge each time it rises, whether it falls in between or not.
TEST(KvmInterruptEvent, SignalIsAnEdgeAtThe8259) {
  CALCO_NEEDS_KVM();
  MonitoredMachine guest({0xFA, 0xF4}, {"-accel", "kvm,kernel-irqchip=on"});
  std::promise<std::pair<int, int>> requests;
  guest.machine().post([&] {
    Machine& machine = guest.machine();
    const auto request = [&machine] {
      int requested = 0;
      machine.while_paused([&] { requested = machine.board().pic->slave().registers().requests; });
      return requested;
    };
    const int before = request();
    machine.while_paused([&] { machine.board().isa_wires[8]->input().set(true); });
    requests.set_value({before, request()});
  });
  EXPECT_EQ(requests.get_future().get(), (std::pair{0, 1}));
}

INSTANTIATE_TEST_SUITE_P(Kvm, ShownByTheKernel,
                         ::testing::Values("kvm,kernel-irqchip=off", "kvm,kernel-irqchip=split",
                                           "kvm,kernel-irqchip=on"));

}  // namespace
}  // namespace calco::machine
