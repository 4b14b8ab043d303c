#include "devices/host/event_loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>

namespace calco::devices {
namespace {

using namespace std::chrono_literals;

class EventLoopTest : public ::testing::Test {
 protected:
  // Runs `function` on the loop and waits for its end.
  void on_loop(std::function<void()> function) {
    std::promise<void> done;
    loop_.post([&] {
      function();
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(5s), std::future_status::ready);
  }

  std::recursive_mutex device_lock_;
  EventLoop loop_{device_lock_};
};

TEST_F(EventLoopTest, FunctionsPostedBeforeStartRunInOrder) {
  std::vector<int> order;
  loop_.post([&] { order.push_back(1); });
  loop_.post([&] { order.push_back(2); });
  loop_.start();
  on_loop([&] { order.push_back(3); });
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EventLoopTest, TimerOfItsClockFires) {
  loop_.start();
  std::promise<int64_t> fired;
  Timer timer(loop_.clock(), [&] { fired.set_value(loop_.clock().now()); });
  const int64_t deadline = loop_.clock().now() + 5'000'000;
  timer.arm(deadline);
  auto result = fired.get_future();
  ASSERT_EQ(result.wait_for(5s), std::future_status::ready);
  EXPECT_GE(result.get(), deadline);
}

TEST_F(EventLoopTest, EarlierTimerArmedLaterFiresFirst) {
  loop_.start();
  std::promise<void> fired;
  Timer late(loop_.clock(), [] {});
  Timer early(loop_.clock(), [&] { fired.set_value(); });
  late.arm(loop_.clock().now() + 1000 * Clock::kSecond);
  early.arm(loop_.clock().now() + 1'000'000);
  EXPECT_EQ(fired.get_future().wait_for(5s), std::future_status::ready);
}

TEST_F(EventLoopTest, StoppedClockStandsStillAndFiresNothing) {
  loop_.start();
  RealClock& clock = loop_.clock();
  std::atomic<bool> fired = false;
  Timer timer(clock, [&] { fired = true; });
  clock.stop();
  const int64_t stopped_at = clock.now();
  timer.arm(stopped_at + 1'000'000);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(clock.now(), stopped_at);
  EXPECT_FALSE(fired);
  clock.resume();
  std::this_thread::sleep_for(20ms);
  on_loop([&] { EXPECT_TRUE(fired); });
  EXPECT_LT(clock.now(), stopped_at + 10 * Clock::kSecond);
}

TEST_F(EventLoopTest, StoppedClockTakesTheTimeOfASnapshot) {
  loop_.clock().stop();
  loop_.clock().set(123 * Clock::kSecond);
  EXPECT_EQ(loop_.clock().now(), 123 * Clock::kSecond);
  loop_.clock().resume();
  EXPECT_GE(loop_.clock().now(), 123 * Clock::kSecond);
}

TEST_F(EventLoopTest, ReadableFileIsReportedUntilRemoved) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  loop_.start();
  int calls = 0;
  EventLoop::WatchId watch = 0;
  std::promise<void> called;
  on_loop([&] {
    watch = loop_.add_fd(ends[0], EventLoop::kReadable, [&](unsigned events) {
      EXPECT_EQ(events, EventLoop::kReadable);
      ++calls;
      loop_.remove(watch);
      called.set_value();
    });
  });
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  ASSERT_EQ(called.get_future().wait_for(5s), std::future_status::ready);
  on_loop([] {});
  on_loop([&] { EXPECT_EQ(calls, 1); });
  ::close(ends[0]);
  ::close(ends[1]);
}

// A peer that closes with unread bytes on its side leaves an error behind the bytes that it sent.
TEST_F(EventLoopTest, BytesInFrontOfAnErrorAreReportedAndThenTheError) {
  std::array<int, 2> ends;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  ASSERT_EQ(::write(ends[0], "x", 1), 1);
  ASSERT_EQ(::write(ends[1], "ab", 2), 2);
  ::close(ends[1]);
  std::string text;
  std::promise<void> ended;
  EventLoop::WatchId watch = 0;
  {
    std::lock_guard lock(device_lock_);
    watch = loop_.add_fd(ends[0], EventLoop::kReadable, [&](unsigned) {
      char byte = 0;
      if (::read(ends[0], &byte, 1) == 1) {
        text += byte;
        return;
      }
      loop_.remove(watch);
      ended.set_value();
    });
  }
  loop_.start();
  EXPECT_EQ(ended.get_future().wait_for(5s), std::future_status::ready);
  ASSERT_TRUE(loop_.stop());
  EXPECT_EQ(text, "ab");
  ::close(ends[0]);
}

TEST_F(EventLoopTest, PlainFileIsAlwaysReadable) {
  std::FILE* file = std::tmpfile();
  loop_.start();
  std::promise<void> called;
  EventLoop::WatchId watch = 0;
  on_loop([&] {
    watch = loop_.add_fd(fileno(file), EventLoop::kReadable, [&](unsigned) {
      loop_.remove(watch);
      called.set_value();
    });
  });
  EXPECT_EQ(called.get_future().wait_for(5s), std::future_status::ready);
  std::fclose(file);
}

TEST_F(EventLoopTest, CallbacksHoldTheDeviceLock) {
  loop_.start();
  std::unique_lock lock(device_lock_);
  std::promise<void> ran;
  auto result = ran.get_future();
  loop_.post([&] { ran.set_value(); });
  EXPECT_EQ(result.wait_for(20ms), std::future_status::timeout);
  lock.unlock();
  EXPECT_EQ(result.wait_for(5s), std::future_status::ready);
}

TEST_F(EventLoopTest, SignalArrivesOnTheLoop) {
  std::promise<int> caught;
  loop_.on_signal(SIGUSR1, [&](int signal) { caught.set_value(signal); });
  loop_.start();
  on_loop([] {});
  ::kill(::getpid(), SIGUSR1);
  auto result = caught.get_future();
  ASSERT_EQ(result.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(result.get(), SIGUSR1);
}

TEST_F(EventLoopTest, DestroyedDeferredCallDoesNotRun) {
  bool ran = false;
  auto call = std::make_unique<DeferredCall>(loop_, [&] { ran = true; });
  call->schedule();
  call.reset();
  loop_.start();
  on_loop([&] { EXPECT_FALSE(ran); });
}

TEST_F(EventLoopTest, StopSaysWhereACallbackHangs) {
  loop_.start();
  std::promise<void> release;
  loop_.post([waits = release.get_future().share()] { waits.wait(); });
  EXPECT_FALSE(loop_.stop(20ms));
  release.set_value();
  EXPECT_TRUE(loop_.stop());
}

TEST_F(EventLoopTest, StoppedLoopCanStartAgain) {
  loop_.start();
  EXPECT_TRUE(loop_.stop());
  loop_.start();
  on_loop([] {});
}

}  // namespace
}  // namespace calco::devices
