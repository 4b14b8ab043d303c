#include "machine/core/guest_memory.h"

#include <gtest/gtest.h>

namespace calco {
namespace {

constexpr uint64_t kCode = 3 * kPageSize + 2 * kCodeGranule;

class CodeTracking : public testing::Test {
 protected:
  CodeTracking() {
    memory.set_code_observer([this](uint64_t, uint64_t) { ++changes; });
  }

  GuestMemory memory{16 * kPageSize};
  int changes = 0;
};

TEST_F(CodeTracking, PagesWithoutCodeAreNotWatched) {
  EXPECT_FALSE(memory.watches_stores(kCode));
  EXPECT_TRUE(memory.before_store(kCode, 8));
  EXPECT_EQ(changes, 0);
}

TEST_F(CodeTracking, TheFirstMarkOfAPageAsksForProcessorsToBeStopped) {
  EXPECT_FALSE(memory.mark_code(kCode, 10));
  EXPECT_TRUE(memory.mark_code(kCode + kCodeGranule, 10));
  EXPECT_TRUE(memory.watches_stores(kCode));
}

TEST_F(CodeTracking, AStoreTakesTheMarksOfItsGranulesAndTellsTheObserver) {
  memory.mark_code(kCode, 2 * kCodeGranule);
  EXPECT_FALSE(memory.before_store(kCode + 1, 1));
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(memory.code_granules(kCode), GuestMemory::granule_mask(kCode + kCodeGranule, 1));
  EXPECT_FALSE(memory.before_store(kCode + 1, 1));
  EXPECT_EQ(changes, 1);
}

TEST_F(CodeTracking, APageWhoseCodeIsRewrittenStaysWatched) {
  memory.mark_code(kCode, 10);
  memory.before_store(kCode, 10);
  EXPECT_EQ(memory.code_granules(kCode), 0u);
  EXPECT_TRUE(memory.watches_stores(kCode));
  EXPECT_TRUE(memory.mark_code(kCode, 10));
}

TEST_F(CodeTracking, ManyStoresThatMeetNoCodeEndTheWatch) {
  constexpr int kMany = 300;
  memory.mark_code(kCode, 10);
  for (int i = 0; i < kMany; ++i) memory.before_store(kCode, 10);
  EXPECT_FALSE(memory.watches_stores(kCode));
  EXPECT_TRUE(memory.before_store(kCode, 10));
  EXPECT_FALSE(memory.mark_code(kCode, 10));
}

// As a device's DMA does it: the code was marked in a later page, between the question and the store.
TEST_F(CodeTracking, BehindAStoreToSeveralPagesWhoMarkedCodeMeanwhileIsToldInAnyOfThem) {
  memory.before_store(kCode - kPageSize, 3 * kPageSize);
  memory.mark_code(kCode, 10);
  memory.after_store(kCode - kPageSize, 3 * kPageSize);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(memory.code_granules(kCode), 0u);
}

}  // namespace
}  // namespace calco
