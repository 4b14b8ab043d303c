// One machine goes from engine to engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "machine/core/option_error.h"
#include "tests/machine/kvm/kvm_fixture.h"
#include "tests/machine/monitored_machine.h"

namespace calco::machine {
namespace {

using ::testing::HasSubstr;

// The guest counts in ESI and reads the time-stamp counter, which must not go back: it would halt for ever.
// rdtsc; mov ecx,eax; mov ebx,edx; l: rdtsc; cmp edx,ebx; jb bad; ja ok; cmp eax,ecx; jb bad; ok: mov ecx,eax;
// mov ebx,edx; inc esi; jmp l; bad: cli; hlt
constexpr std::initializer_list<uint8_t> kWatchTime = {
    0x0F, 0x31, 0x66, 0x89, 0xC1, 0x66, 0x89, 0xD3, 0x0F, 0x31, 0x66, 0x39, 0xDA, 0x72, 0x11, 0x77, 0x05,
    0x66, 0x39, 0xC8, 0x72, 0x0A, 0x66, 0x89, 0xC1, 0x66, 0x89, 0xD3, 0x66, 0x46, 0xEB, 0xE8, 0xFA, 0xF4};

class ExchangedMachine {
 public:
  using Look = std::function<uint64_t(PcBoard&)>;

  ExchangedMachine(std::initializer_list<uint8_t> code, std::vector<std::string> options)
      : guest_(code, std::move(options)) {}

  // What is said where it cannot be done.
  std::string exchange(const std::string& engine) {
    std::promise<std::string> answer;
    guest_.machine().post([&] {
      try {
        guest_.machine().exchange_engine(engine);
        answer.set_value({});
      } catch (const OptionError& error) {
        answer.set_value(error.what());
      }
    });
    return answer.get_future().get();
  }
  // What `look` gives while the guest stands still.
  uint64_t see(const Look& look) {
    std::promise<uint64_t> value;
    guest_.machine().post(
        [&] { guest_.machine().while_paused([&] { value.set_value(look(guest_.machine().board())); }); });
    return value.get_future().get();
  }
  // What `look` gives changes, within a bound.
  bool changes(const Look& look) {
    const uint64_t before = see(look);
    for (int wait = 0; wait < 500; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (see(look) != before) return true;
    }
    return false;
  }
  bool goes_on() { return changes(&counter); }
  static uint64_t counter(PcBoard& board) { return static_cast<uint32_t>(board.processors[0]->registers[cpu::kRsi]); }
  std::string_view engine() { return guest_.machine().engine().name(); }

 private:
  MonitoredMachine guest_;
};

TEST(KvmExchange, EveryEngineGoesOnAndTimeNeverGoesBack) {
  CALCO_NEEDS_KVM();
  ExchangedMachine machine(kWatchTime, {"-accel", "jit"});
  for (const char* engine : {"kvm", "interp", "kvm", "jit", "interp", "jit", "kvm", "jit"}) {
    EXPECT_EQ(machine.exchange(engine), "");
    EXPECT_EQ(machine.engine(), engine);
    EXPECT_TRUE(machine.goes_on()) << engine;
  }
}

TEST(KvmExchange, GuestThatBeganUnderKvmMayLeaveIt) {
  CALCO_NEEDS_KVM();
  ExchangedMachine machine(kWatchTime, {"-accel", "kvm"});
  EXPECT_TRUE(machine.goes_on());
  EXPECT_EQ(machine.exchange("jit"), "");
  EXPECT_TRUE(machine.goes_on());
  EXPECT_EQ(machine.exchange("kvm"), "");
  EXPECT_TRUE(machine.goes_on());
}

TEST(KvmExchange, GuestThatBeganWithInterruptsInTheKernelMayLeaveIt) {
  CALCO_NEEDS_KVM();
  for (const char* engine : {"kvm,kernel-irqchip=split", "kvm,kernel-irqchip=on"}) {
    ExchangedMachine machine(kWatchTime, {"-accel", engine});
    EXPECT_TRUE(machine.goes_on());
    EXPECT_EQ(machine.exchange("jit"), "");
    EXPECT_TRUE(machine.goes_on());
    EXPECT_EQ(machine.exchange("kvm"), "");
    EXPECT_TRUE(machine.goes_on());
  }
}

TEST(KvmExchange, HostProcessorHoldsTheGuestThere) {
  CALCO_NEEDS_KVM();
  ExchangedMachine machine(kWatchTime, {"-accel", "kvm", "-cpu", "host"});
  EXPECT_THAT(machine.exchange("jit"), HasSubstr("-cpu host"));
  EXPECT_EQ(machine.engine(), "kvm");
  EXPECT_TRUE(machine.goes_on());
}

// --- States that KVM does not hold -----------------------------------------------------------------------------------

class KvmExchangeOfAState : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { CALCO_NEEDS_KVM(); }
  std::vector<std::string> options() { return {"-accel", "jit", "-accel", GetParam()}; }
};

constexpr uint64_t kRelease = 0x600;  // the guest's byte that lets it leave the state

uint64_t release(PcBoard& board) {
  board.map.write_value<uint8_t>(kRelease, 1);
  return 0;
}

// The guest closes the gate at port 92H and counts at FFFF:0510: at 500H, or at 100500H when the gate is open.
// jmp f000:5; in al,92h; and al,fdh; out 92h,al; mov ax,ffffh; mov ds,ax; xor ax,ax; mov es,ax; l: inc dword [510h];
// inc esi; test byte [es:600h],1; jz l; in al,92h; or al,2; out 92h,al; jmp l
constexpr std::initializer_list<uint8_t> kCountWithA20Closed = {
    0xEA, 0x05, 0x00, 0x00, 0xF0, 0xE4, 0x92, 0x24, 0xFD, 0xE6, 0x92, 0xB8, 0xFF, 0xFF, 0x8E,
    0xD8, 0x31, 0xC0, 0x8E, 0xC0, 0x66, 0xFF, 0x06, 0x10, 0x05, 0x66, 0x46, 0x26, 0xF6, 0x06,
    0x00, 0x06, 0x01, 0x74, 0xF1, 0xE4, 0x92, 0x0C, 0x02, 0xE6, 0x92, 0xEB, 0xE9};

uint64_t gate_is_open(PcBoard& board) { return board.processors[0]->mmu().a20_enabled(); }
uint64_t below_the_gate(PcBoard& board) { return board.map.read_value<uint32_t>(0x500); }
uint64_t above_the_gate(PcBoard& board) { return board.map.read_value<uint32_t>(0x100500); }
// The guest may stand between the two increments.
uint64_t counted_elsewhere(PcBoard& board) { return below_the_gate(board) - ExchangedMachine::counter(board) > 1; }

TEST_P(KvmExchangeOfAState, ClosedGateA20) {
  ExchangedMachine machine(kCountWithA20Closed, options());
  EXPECT_TRUE(machine.changes(&below_the_gate));
  for (const char* engine : {"kvm", "interp", "kvm", "jit", "interp", "jit", "kvm"}) {
    EXPECT_EQ(machine.exchange(engine), "");
    EXPECT_EQ(machine.see(&gate_is_open), 0u) << engine;
    EXPECT_EQ(machine.see(&counted_elsewhere), 0u) << engine;
    EXPECT_TRUE(machine.changes(&below_the_gate)) << engine;
    EXPECT_EQ(machine.see(&above_the_gate), 0u) << engine;
  }
  machine.see(&release);
  EXPECT_TRUE(machine.changes(&above_the_gate));
  for (const char* engine : {"jit", "kvm", "interp"}) {
    EXPECT_EQ(machine.exchange(engine), "");
    EXPECT_EQ(machine.see(&gate_is_open), 1u) << engine;
    EXPECT_TRUE(machine.changes(&above_the_gate)) << engine;
  }
}

// The handler has SMBASE moved to 40000H at its end, and counts at 500H until it is let go.
// mov dword [cs:ff00h],40000h; xor ax,ax; mov ds,ax; l: inc dword [500h]; test byte [600h],1; jz l; rsm
constexpr std::initializer_list<uint8_t> kCountInSmm = {0x2E, 0x66, 0xC7, 0x06, 0x00, 0xFF, 0x00, 0x00, 0x04, 0x00,
                                                        0x31, 0xC0, 0x8E, 0xD8, 0x66, 0xFF, 0x06, 0x00, 0x05, 0xF6,
                                                        0x06, 0x00, 0x06, 0x01, 0x74, 0xF4, 0x0F, 0xAA};
// l: inc esi; jmp l
constexpr std::initializer_list<uint8_t> kCount = {0x66, 0x46, 0xEB, 0xFC};

uint64_t raise_smi(PcBoard& board) {
  for (const uint64_t base : {0x30000, 0x40000})
    board.map.write(base + 0x8000, kCountInSmm.begin(), kCountInSmm.size());
  board.map.write_value<uint8_t>(kRelease, 0);
  board.processors[0]->raise_smi();
  return 0;
}
uint64_t in_smm(PcBoard& board) { return board.processors[0]->in_smm; }
uint64_t smbase(PcBoard& board) { return board.processors[0]->smbase; }
uint64_t code_base(PcBoard& board) { return board.processors[0]->segments[cpu::kCs].base; }
// What RSM will load: SMBASE of the next SMI, and ESI (APM vol. 2, table 10-1).
uint64_t saved_smbase(PcBoard& board) { return board.map.read_value<uint32_t>(smbase(board) + 0xFF00); }
uint64_t saved_counter(PcBoard& board) { return board.map.read_value<uint32_t>(smbase(board) + 0xFFC8); }

TEST_P(KvmExchangeOfAState, SystemManagementMode) {
  ExchangedMachine machine(kCount, options());
  EXPECT_TRUE(machine.goes_on());
  uint64_t base = 0x30000;
  for (const std::vector<const char*>& engines :
       {std::vector{"kvm", "interp", "kvm", "jit"}, std::vector{"interp", "jit", "kvm"}}) {
    machine.see(&raise_smi);
    EXPECT_TRUE(machine.changes(&below_the_gate));
    const uint64_t interrupted = machine.see(&saved_counter);
    for (const char* engine : engines) {
      EXPECT_EQ(machine.exchange(engine), "");
      EXPECT_EQ(machine.see(&in_smm), 1u) << engine;
      EXPECT_EQ(machine.see(&smbase), base) << engine;
      EXPECT_EQ(machine.see(&code_base), base) << engine;
      EXPECT_EQ(machine.see(&saved_smbase), 0x40000u) << engine;
      EXPECT_EQ(machine.see(&saved_counter), interrupted) << engine;
      EXPECT_TRUE(machine.changes(&below_the_gate)) << engine;
    }
    machine.see(&release);
    EXPECT_TRUE(machine.goes_on());
    base = 0x40000;
    for (const char* engine : {"interp", "kvm", "jit", "kvm"}) {
      EXPECT_EQ(machine.exchange(engine), "");
      EXPECT_EQ(machine.see(&in_smm), 0u) << engine;
      EXPECT_EQ(machine.see(&smbase), base) << engine;
      EXPECT_GT(machine.see(&ExchangedMachine::counter), interrupted) << engine;
      EXPECT_TRUE(machine.goes_on()) << engine;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kvm, KvmExchangeOfAState,
                         ::testing::Values("kvm,kernel-irqchip=off", "kvm,kernel-irqchip=split",
                                           "kvm,kernel-irqchip=on"));

}  // namespace
}  // namespace calco::machine
