#include "machine/core/memory_map.h"

#include <gtest/gtest.h>

#include <mutex>

#include "machine/core/log.h"

namespace calco {
namespace {

class MemoryMapTest : public ::testing::Test {
 protected:
  struct Register final : RegisterWindow {
    uint64_t read(uint64_t offset, unsigned) override { return 0x50 + offset; }
    void write(uint64_t, unsigned, uint64_t) override {}
  };

  std::recursive_mutex device_lock;
  Log log;
  GuestMemory memory{1 << 20};
  MemoryMap map{memory, device_lock, log};
  Register window;
};

TEST_F(MemoryMapTest, ReadBelowARegionMeetsTheHighestOfLowerPriority) {
  const uint64_t rom = memory.allocate(0x2000);
  memory.data()[rom + 4] = 0x22;
  map.add_memory("hidden", 0, 0x2000, memory.allocate(0x2000), true, -1);
  map.add_memory("rom", 0, 0x2000, rom, false, 0);
  const MemoryMap::RegionId shadow = map.add_window("shadow", 0, 0x1000, window, 2);
  EXPECT_EQ(map.read_byte_below(shadow, 4), 0x22);
}

TEST_F(MemoryMapTest, ReadBelowARegionReachesDevices) {
  map.add_window("device", 0x1000, 0x1000, window, 1);
  const MemoryMap::RegionId shadow = map.add_memory("shadow", 0x1000, 0x1000, memory.allocate(0x1000), true, 2);
  EXPECT_EQ(map.read_byte_below(shadow, 0x1003), 0x53);
}

TEST_F(MemoryMapTest, ReadBelowARegionWithNothingUnderItGivesOnes) {
  const MemoryMap::RegionId shadow = map.add_window("shadow", 0, 0x1000, window, 2);
  map.set_enabled(map.add_memory("off", 0, 0x1000, memory.allocate(0x1000), true), false);
  EXPECT_EQ(map.read_byte_below(shadow, 0), 0xFF);
}

}  // namespace
}  // namespace calco
