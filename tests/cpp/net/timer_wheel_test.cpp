#include "millrace/net/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace millrace::net {
namespace {

using base::milliseconds;
using base::seconds;
using base::Time;

constexpr Time slot = Time{1} << TimerWheel::slot_shift;

struct Alarm : WheelEntry {
  std::vector<Time> fired;
  Alarm() {
    fire = [](WheelEntry& entry, Time now) { static_cast<Alarm&>(entry).fired.push_back(now); };
  }
};

// A wheel and the time it has been told.
struct Clock {
  TimerWheel wheel;
  Time now = seconds(1'000'000);
  Clock() { wheel.advance(now); }
  void go_to(Time then) {
    for (; now + milliseconds(1) <= then; now += milliseconds(1)) wheel.advance(now);
    wheel.advance(now = then);
  }
};

TEST(TimerWheel, FiresOnceAndAtMostTwoSlotsLate) {
  Clock clock;
  for (auto const after :
       {milliseconds(1), milliseconds(66), milliseconds(67), milliseconds(500), seconds(5)}) {
    Alarm alarm;
    auto const deadline = clock.now + after;
    clock.wheel.arm(alarm, deadline);
    clock.go_to(deadline + seconds(1));
    ASSERT_EQ(alarm.fired.size(), 1u);
    EXPECT_GE(alarm.fired[0], deadline);
    EXPECT_LE(alarm.fired[0], deadline + 2 * slot);
    EXPECT_TRUE(clock.wheel.empty());
  }
}

TEST(TimerWheel, DeadlineThatHasPassedFiresSoon) {
  Clock clock;
  Alarm alarm;
  clock.wheel.arm(alarm, clock.now - seconds(3));
  clock.go_to(clock.now + 2 * slot);
  EXPECT_EQ(alarm.fired.size(), 1u);
}

TEST(TimerWheel, DisarmedEntryDoesNotFireAndMayBeDisarmedTwice) {
  Clock clock;
  Alarm alarm;
  clock.wheel.arm(alarm, clock.now + seconds(1));
  clock.wheel.disarm(alarm);
  clock.wheel.disarm(alarm);
  EXPECT_TRUE(clock.wheel.empty());
  clock.go_to(clock.now + seconds(2));
  EXPECT_TRUE(alarm.fired.empty());
}

TEST(TimerWheel, MovingADeadlineOnKeepsItFromFiringBefore) {
  Clock clock;
  Alarm alarm;
  Time deadline = 0;
  for (int i = 0; i < 50; ++i) {
    deadline = clock.now + milliseconds(300);
    clock.wheel.arm(alarm, deadline);
    clock.go_to(clock.now + milliseconds(100));
    ASSERT_TRUE(alarm.fired.empty());
  }
  clock.go_to(deadline + 2 * slot);
  EXPECT_EQ(alarm.fired.size(), 1u);
}

TEST(TimerWheel, MovingADeadlineForwardMakesItFireEarlier) {
  Clock clock;
  Alarm alarm;
  clock.wheel.arm(alarm, clock.now + seconds(60));
  auto const deadline = clock.now + seconds(1);
  clock.wheel.arm(alarm, deadline);
  clock.go_to(deadline + 2 * slot);
  EXPECT_EQ(alarm.fired.size(), 1u);
}

// The wheel turns once in 69 s; what lies further ahead is looked at on the way.
TEST(TimerWheel, DeadlineBeyondOneTurnOfTheWheelIsMet) {
  Clock clock;
  Alarm alarm;
  auto const deadline = clock.now + seconds(200);
  clock.wheel.arm(alarm, deadline);
  clock.go_to(deadline - milliseconds(1));
  EXPECT_TRUE(alarm.fired.empty());
  clock.go_to(deadline + 2 * slot);
  EXPECT_EQ(alarm.fired.size(), 1u);
}

TEST(TimerWheel, SleepOfManyTurnsFiresAllThatIsDueAndNothingElse) {
  Clock clock;
  Alarm soon, later, much_later;
  clock.wheel.arm(soon, clock.now + seconds(1));
  clock.wheel.arm(later, clock.now + seconds(100));
  clock.wheel.arm(much_later, clock.now + seconds(10'000));
  clock.wheel.advance(clock.now += seconds(5'000));
  EXPECT_EQ(soon.fired.size(), 1u);
  EXPECT_EQ(later.fired.size(), 1u);
  EXPECT_TRUE(much_later.fired.empty());
  clock.wheel.advance(clock.now += seconds(5'001));
  EXPECT_EQ(much_later.fired.size(), 1u);
}

TEST(TimerWheel, NextDueIsNeverAfterTheFirstDeadlineMayFire) {
  Clock clock;
  EXPECT_EQ(clock.wheel.next_due(), std::numeric_limits<Time>::max());
  Alarm far, near;
  clock.wheel.arm(far, clock.now + seconds(40));
  EXPECT_GT(clock.wheel.next_due(), clock.now + seconds(30)) << "an idle loop may sleep long";
  EXPECT_LE(clock.wheel.next_due(), clock.now + seconds(40) + 2 * slot);
  clock.wheel.arm(near, clock.now + seconds(2));
  EXPECT_LE(clock.wheel.next_due(), clock.now + seconds(2) + 2 * slot);
  // Waking exactly when told, and at no other time, meets every deadline.
  while (!clock.wheel.empty()) clock.wheel.advance(clock.now = clock.wheel.next_due());
  EXPECT_EQ(near.fired.size(), 1u);
  EXPECT_EQ(far.fired.size(), 1u);
  EXPECT_EQ(clock.wheel.next_due(), std::numeric_limits<Time>::max());
}

TEST(TimerWheel, EntryMayArmItselfAgainFromFire) {
  struct Ticker : WheelEntry {
    TimerWheel* wheel = nullptr;
    int ticks = 0;
  } ticker;
  Clock clock;
  ticker.wheel = &clock.wheel;
  ticker.fire = [](WheelEntry& entry, Time now) {
    auto& self = static_cast<Ticker&>(entry);
    ++self.ticks;
    self.wheel->arm(self, now + milliseconds(500));
  };
  clock.wheel.arm(ticker, clock.now + milliseconds(500));
  clock.go_to(clock.now + seconds(10));
  EXPECT_GE(ticker.ticks, 14);
  EXPECT_LE(ticker.ticks, 20);
}

TEST(TimerWheel, FireMayDisarmAndDestroyOthersOfItsSlot) {
  struct Ender : WheelEntry {
    std::vector<std::unique_ptr<Alarm>>* others = nullptr;
    TimerWheel* wheel = nullptr;
  } ender;
  Clock clock;
  std::vector<std::unique_ptr<Alarm>> others;
  ender.others = &others;
  ender.wheel = &clock.wheel;
  ender.fire = [](WheelEntry& entry, Time) {
    auto& self = static_cast<Ender&>(entry);
    for (auto& other : *self.others) self.wheel->disarm(*other);
    self.others->clear();
  };
  auto const deadline = clock.now + seconds(1);
  clock.wheel.arm(ender, deadline);
  for (int i = 0; i < 10; ++i)
    clock.wheel.arm(*others.emplace_back(std::make_unique<Alarm>()), deadline);
  clock.go_to(deadline + 2 * slot);
  EXPECT_TRUE(others.empty());
  EXPECT_TRUE(clock.wheel.empty());
}

}  // namespace
}  // namespace millrace::net
