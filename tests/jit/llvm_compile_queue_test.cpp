#include <gtest/gtest.h>

#include <future>

#include "jit/llvm/compile_queue.h"
#include "jit/llvm/llvm_compiler.h"
#include "tests/jit/ir_text.h"
#include "tests/jit/translation_rig.h"

namespace calco::jit {
namespace {

// A region that sets RAX to a number.
Region region_of(unsigned number) {
  return {{ir::block_of({fmt::format("%0 = constant.i64 {:#x}\n set_register rax, %0\n leave 0x10", number)})}};
}

class Queue : public testing::Test {
 protected:
  std::unique_ptr<CompileQueue> make(CompileQueue::Options options) {
    return std::make_unique<CompileQueue>(
        [this] { return make_llvm_compiler(TranslationRig::layout(), rig_.entries, llvm_services()); }, options);
  }
  CompileJob job(uint64_t id, uint64_t priority = 0) {
    CompileJob result;
    result.id = id;
    result.priority = priority;
    result.region = region_of(static_cast<unsigned>(id));
    result.done = [this](uint64_t done, std::unique_ptr<CompiledRegion> region, const std::string& refusal) {
      EXPECT_EQ(refusal, "");
      const std::lock_guard lock(mutex_);
      order_.push_back(done);
      regions_[done] = std::move(region);
    };
    return result;
  }
  // Holds the queue's thread until the result is set.
  CompileJob blocker(std::shared_future<void> released, std::promise<void>& begun) {
    CompileJob result = job(1000, ~uint64_t{0});
    result.done = [released, &begun](uint64_t, std::unique_ptr<CompiledRegion>, const std::string&) {
      begun.set_value();
      released.wait();
    };
    return result;
  }

  TranslationRig rig_;
  std::mutex mutex_;
  std::vector<uint64_t> order_;
  std::map<uint64_t, std::unique_ptr<CompiledRegion>> regions_;
  std::promise<void> begun_, release_;
};

TEST_F(Queue, DeliversWhatItCompiles) {
  const auto queue = make({.threads = 2, .capacity = 100, .niceness = 1});
  for (uint64_t id = 0; id < 20; ++id) ASSERT_FALSE(queue->submit(job(id)));
  queue->drain();
  ASSERT_EQ(regions_.size(), 20u);
  for (auto& [id, region] : regions_) {
    rig_.enter(region->entry());
    EXPECT_EQ(rig_.state.cpu.registers[cpu::kRax], id);
  }
  EXPECT_EQ(queue->counters().regions, 20u);
  EXPECT_EQ(queue->pending(), 0u);
}

TEST_F(Queue, PausesWhenItHasTakenItsShare) {
  const auto queue = make({.threads = 1, .niceness = 1, .share = 1, .process_time = [] { return uint64_t{0}; }});
  queue->submit(blocker(release_.get_future().share(), begun_));
  begun_.get_future().wait();
  queue->submit(job(1));
  release_.set_value();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(queue->pending(), 1u);
  EXPECT_TRUE(queue->cancel(1));
}

TEST_F(Queue, TakesTheHighestPriorityFirst) {
  const auto queue = make({.threads = 1, .capacity = 100, .niceness = 1});
  queue->submit(blocker(release_.get_future().share(), begun_));
  begun_.get_future().wait();
  queue->submit(job(1, 5));
  queue->submit(job(2, 7));
  queue->submit(job(3, 5));
  queue->submit(job(4, 9));
  release_.set_value();
  queue->drain();
  EXPECT_EQ(order_, (std::vector<uint64_t>{4, 2, 1, 3}));
}

TEST_F(Queue, GivesBackTheLeastImportantWhenItIsFull) {
  const auto queue = make({.threads = 1, .capacity = 2, .niceness = 1});
  queue->submit(blocker(release_.get_future().share(), begun_));
  begun_.get_future().wait();
  EXPECT_FALSE(queue->submit(job(1, 1)));
  EXPECT_FALSE(queue->submit(job(2, 2)));
  EXPECT_EQ(queue->submit(job(3, 3))->id, 1u);
  EXPECT_EQ(queue->submit(job(4, 0))->id, 4u);
  release_.set_value();
  queue->drain();
  EXPECT_EQ(order_, (std::vector<uint64_t>{3, 2}));
}

TEST_F(Queue, DropsWhatIsCancelled) {
  const auto queue = make({.threads = 1, .capacity = 2, .niceness = 1});
  queue->submit(blocker(release_.get_future().share(), begun_));
  begun_.get_future().wait();
  queue->submit(job(1));
  queue->submit(job(2));
  EXPECT_TRUE(queue->cancel(1));
  EXPECT_FALSE(queue->cancel(3));
  EXPECT_EQ(queue->pending(), 1u);
  release_.set_value();
  queue->drain();
  EXPECT_EQ(order_, std::vector<uint64_t>{2});
  EXPECT_FALSE(queue->cancel(2));
}

TEST_F(Queue, EndsWithJobsWaiting) {
  auto queue = make({.threads = 2, .capacity = 100, .niceness = 1});
  for (uint64_t id = 0; id < 100; ++id) queue->submit(job(id));
  queue.reset();
  EXPECT_LT(regions_.size(), 100u);
}

TEST_F(Queue, WhatCameLatelyDoesNotWaitForALongJob) {
  const auto queue = make({.niceness = 1, .express = std::chrono::hours(1)});
  const std::shared_future<void> released = release_.get_future().share();
  queue->submit(blocker(released, begun_));
  begun_.get_future().wait();
  std::promise<void> delivered;
  CompileJob late = job(1);
  late.done = [&](uint64_t, std::unique_ptr<CompiledRegion>, const std::string&) { delivered.set_value(); };
  queue->submit(std::move(late));
  delivered.get_future().wait();
  release_.set_value();
  queue->drain();
}

}  // namespace
}  // namespace calco::jit
