// INIT and start-up IPIs (SDM vol. 3, 9.4).
#include <gtest/gtest.h>

#include "tests/cpu/cpu_fixture.h"

namespace calco::cpu {
namespace {

class StartUp : public ::testing::Test {
 protected:
  StartUp() {
    Environment environment = fixture_.cpu->environment();
    environment.index = 1;
    processor_ = std::make_unique<Cpu>(std::move(environment));
    fixture_.load_code({0xF4}, 0x9000);  // HLT
  }

  CpuFixture fixture_;
  std::unique_ptr<Cpu> processor_;
};

TEST_F(StartUp, ApplicationProcessorWaitsAfterReset) {
  EXPECT_FALSE(processor_->has_work());
  EXPECT_EQ(processor_->run(), RunExit::Halted);
  EXPECT_EQ(processor_->activity, Activity::WaitForStartUp);
}

TEST_F(StartUp, VectorIsThePageWhereItBegins) {
  processor_->start_up(0x09);
  EXPECT_TRUE(processor_->has_work());
  EXPECT_EQ(processor_->run(), RunExit::Halted);
  EXPECT_EQ(processor_->segments[kCs].selector, 0x0900);
  EXPECT_EQ(processor_->segments[kCs].base, 0x9000u);
  EXPECT_EQ(processor_->registers[kRip], 1u);
}

TEST_F(StartUp, IpiThatFollowsInitCountsWhereBothWaitAtOneBoundary) {
  processor_->raise_init();
  processor_->start_up(0x09);
  processor_->run();
  EXPECT_EQ(processor_->activity, Activity::Halted);
  EXPECT_EQ(processor_->segments[kCs].selector, 0x0900);
}

TEST_F(StartUp, IpiBeforeInitIsVoid) {
  processor_->start_up(0x09);
  processor_->raise_init();
  processor_->run();
  EXPECT_EQ(processor_->activity, Activity::WaitForStartUp);
}

TEST_F(StartUp, RunningProcessorIgnoresTheIpi) {
  processor_->start_up(0x09);
  processor_->run();
  processor_->start_up(0x0A);
  processor_->run();
  EXPECT_EQ(processor_->activity, Activity::Halted);
  EXPECT_EQ(processor_->segments[kCs].selector, 0x0900);
}

TEST_F(StartUp, ProcessorsResetAtDifferentTimesShowOneTimeStampCounter) {
  fixture_.ticks = 1'000'000;
  processor_->reset();
  EXPECT_EQ(processor_->tsc_offset, fixture_.cpu->tsc_offset);
}

}  // namespace
}  // namespace calco::cpu
