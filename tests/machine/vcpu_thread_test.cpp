#include "machine/vcpu_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "machine/accel/interp.h"
#include "machine/current_processor.h"
#include "tests/cpu/cpu_fixture.h"

namespace calco::machine {
namespace {

using cpu::CpuFixture;
using std::chrono::milliseconds;

template <typename Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(1));
  return condition();
}

class VcpuThreadTest : public ::testing::Test {
 protected:
  VcpuThreadTest() {
    fixture_.enter_64_bit_mode();
    // Counts in RAX for ever.
    fixture_.load_code({0x48, 0xFF, 0xC0, 0xEB, 0xFB});
    thread_ = std::make_unique<VcpuThread>(*fixture_.cpu, std::make_unique<InterpreterAccelerator>(), 0);
  }
  uint64_t counted() const { return fixture_.cpu->registers[cpu::kRax]; }

  CpuFixture fixture_;
  std::unique_ptr<VcpuThread> thread_;
};

TEST_F(VcpuThreadTest, BeginsPaused) {
  EXPECT_TRUE(thread_->wait_paused());
  EXPECT_EQ(counted(), 0u);
}

TEST_F(VcpuThreadTest, RunsUntilItIsPaused) {
  thread_->send(VcpuThread::Run{});
  std::this_thread::sleep_for(milliseconds(10));
  thread_->send(VcpuThread::Pause{});
  ASSERT_TRUE(thread_->wait_paused());
  const uint64_t count = counted();
  EXPECT_GT(count, 0u);
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(counted(), count);
}

TEST_F(VcpuThreadTest, ResetPutsThePausedProcessorAtTheResetVector) {
  thread_->send(VcpuThread::Reset{});
  ASSERT_TRUE(thread_->wait_paused());
  EXPECT_EQ(fixture_.cpu->registers[cpu::kRip], 0xFFF0u);
  EXPECT_EQ(fixture_.cpu->segments[cpu::kCs].base, 0xFFFF0000u);
}

TEST_F(VcpuThreadTest, WaitForAPauseIsBounded) {
  thread_->send(VcpuThread::Run{});
  EXPECT_FALSE(thread_->wait_paused(milliseconds(20)));
}

TEST_F(VcpuThreadTest, HaltedProcessorSleepsUntilAnInterrupt) {
  // HLT; JMP to itself. NMI is enough to wake it; its handler is not there, so it ends in a triple fault.
  fixture_.load_code({0xF4, 0xEB, 0xFE});
  fixture_.cpu->idtr = {};
  thread_->send(VcpuThread::Run{});
  ASSERT_TRUE(soon([this] { return fixture_.cpu->activity == cpu::Activity::Halted; }));
  fixture_.cpu->raise_nmi();
  EXPECT_TRUE(soon([this] { return fixture_.triple_faulted; }));
}

TEST_F(VcpuThreadTest, OtherThreadsAreNoProcessors) { EXPECT_EQ(current_processor(), std::nullopt); }

TEST(CurrentProcessor, IsKnownWithinItsScopeOnly) {
  {
    const CurrentProcessorScope scope(3);
    EXPECT_EQ(current_processor(), 3u);
  }
  EXPECT_EQ(current_processor(), std::nullopt);
}

}  // namespace
}  // namespace calco::machine
