#include "millrace/net/precise_timer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace millrace::net {
namespace {

constexpr auto never = INT64_MAX;

TEST(PreciseTimer, FiresOnceAndNotBeforeItsMoment) {
  Reactor reactor;
  std::vector<base::Time> fired;
  PreciseTimer timer(reactor, [&](base::Time now) { fired.push_back(now); });
  auto const when = Reactor::clock() + base::milliseconds(3);
  timer.set(when);
  reactor.turn(when + base::milliseconds(30));
  ASSERT_EQ(fired.size(), 1U);
  EXPECT_GE(fired[0], when);
}

TEST(PreciseTimer, MayBeSetAnewWhileItFires) {
  Reactor reactor;
  std::vector<base::Time> due, fired;
  std::unique_ptr<PreciseTimer> timer;
  auto const next = [&] {
    due.push_back(Reactor::clock() + base::microseconds(200));
    timer->set(due.back());
  };
  timer = std::make_unique<PreciseTimer>(reactor, [&](base::Time now) {
    fired.push_back(now);
    if (fired.size() < 20)
      next();
    else
      reactor.stop();
  });
  next();
  reactor.turn(never);
  ASSERT_EQ(fired.size(), 20U);
  for (std::size_t i = 0; i < fired.size(); ++i) EXPECT_GE(fired[i], due[i]);
}

TEST(PreciseTimer, FiresInTheNextTurnForAMomentThatHasPassed) {
  Reactor reactor;
  int fired = 0;
  PreciseTimer timer(reactor, [&](base::Time) {
    ++fired;
    reactor.stop();
  });
  timer.set(0);
  reactor.turn(never);
  EXPECT_EQ(fired, 1);
}

TEST(PreciseTimer, DoesNotFireOnceCleared) {
  Reactor reactor;
  int fired = 0;
  PreciseTimer timer(reactor, [&](base::Time) { ++fired; });
  timer.set(Reactor::clock() + base::milliseconds(1));
  timer.clear();
  reactor.turn(Reactor::clock() + base::milliseconds(10));
  EXPECT_EQ(fired, 0);
}

TEST(PreciseTimer, TakesTheLastMomentThatWasSet) {
  Reactor reactor;
  std::vector<base::Time> fired;
  PreciseTimer timer(reactor, [&](base::Time now) { fired.push_back(now); });
  auto const late = Reactor::clock() + base::milliseconds(8);
  timer.set(late - base::milliseconds(7));
  timer.set(late);
  reactor.turn(late + base::milliseconds(20));
  ASSERT_EQ(fired.size(), 1U);
  EXPECT_GE(fired[0], late);
}

// A descriptor that stayed readable would wake the loop for ever.
TEST(PreciseTimer, LetsTheLoopSleepAfterwards) {
  Reactor reactor;
  PreciseTimer timer(reactor, [](base::Time) {});
  timer.set(0);
  reactor.turn(Reactor::clock() + base::milliseconds(5));
  auto const waits = reactor.counters().waits.get();
  reactor.turn(Reactor::clock() + base::milliseconds(20));
  EXPECT_LE(reactor.counters().waits.get() - waits, 5U);
}

}  // namespace
}  // namespace millrace::net
