#include "millrace/net/reactor.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <limits>
#include <optional>
#include <vector>

#include "net/loops.hpp"
#include "net/sockets.hpp"

namespace millrace::net {
namespace {

using base::milliseconds;
using base::seconds;
using base::Time;
using testing::LoopThread;
using testing::turn_until;

constexpr Time never = std::numeric_limits<Time>::max();

struct Ready final : Readiness {
  std::function<void(std::uint32_t)> act;
  int calls = 0;
  explicit Ready(std::function<void(std::uint32_t)> f = {}) : act(std::move(f)) {}
  void on_ready(std::uint32_t events) override {
    ++calls;
    if (act) act(events);
  }
};

testing::Descriptor ready_descriptor() {
  return testing::Descriptor(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
}

struct CountingGuard : PollGuard {
  int before = 0, after = 0, turns = 0;
  bool ready = false;
  std::function<bool()> leaves = [] { return false; };
  void before_wait() override { ++before; }
  void after_wait() override { ++after; }
  bool has_ready() override { return ready; }
  bool end_of_turn() override {
    ++turns;
    return leaves();
  }
};

// ---------------------------------------------------------------- turns

TEST(Reactor, TurnOfZeroPollsOnceWithoutCallingTheGuardAroundIt) {
  Reactor reactor;
  CountingGuard guard;
  reactor.set_guard(&guard);
  reactor.turn(0);
  EXPECT_EQ(guard.before, 0);
  EXPECT_EQ(guard.after, 0);
  EXPECT_EQ(guard.turns, 1);
  EXPECT_EQ(reactor.counters().waits.get(), 1u);
}

TEST(Reactor, TurnReturnsAtItsDeadlineWhenNothingComes) {
  Reactor reactor;
  CountingGuard guard;
  reactor.set_guard(&guard);
  auto const until = Reactor::clock() + milliseconds(20);
  reactor.turn(until);
  EXPECT_GE(Reactor::clock(), until);
  EXPECT_GE(reactor.now(), until);
  EXPECT_GE(guard.before, 1);
  EXPECT_EQ(guard.before, guard.after);
  EXPECT_LE(guard.before, 3) << "it sleeps, it does not spin";
}

// An absolute deadline, or steady traffic would starve the timers of who called turn().
TEST(Reactor, TurnReturnsAtItsDeadlineAlthoughEventsKeepComing) {
  Reactor reactor;
  std::function<void()> again = [&] { reactor.post(again); };
  reactor.post(again);
  auto const until = Reactor::clock() + milliseconds(20);
  reactor.turn(until);
  EXPECT_GE(reactor.now(), until);
}

TEST(Reactor, TurnLeavesWhenTheGuardSaysSo) {
  Reactor reactor;
  CountingGuard guard;
  guard.leaves = [&] { return guard.turns == 3; };
  reactor.set_guard(&guard);
  std::function<void()> again = [&] { reactor.post(again); };
  reactor.post(again);
  reactor.turn(never);
  EXPECT_EQ(guard.turns, 3);
}

TEST(Reactor, DoesNotSleepWhileTheGuardHasSomethingReady) {
  Reactor reactor;
  CountingGuard guard;
  guard.ready = true;
  guard.leaves = [] { return true; };
  reactor.set_guard(&guard);
  reactor.turn(never);
  EXPECT_EQ(guard.before, 0);
}

TEST(Reactor, StopBeforeRunEndsItAndRunsWhatWasPosted) {
  Reactor reactor;
  bool ran = false;
  reactor.post([&] { ran = true; });
  reactor.stop();
  reactor.run();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(reactor.is_stopped());
}

TEST(Reactor, StopFromAnotherThreadWakesASleepingLoop) {
  for (int i = 0; i < 200; ++i) {
    LoopThread loop;
    loop.call([] {});
    loop.join();
  }
}

TEST(Reactor, TaskPostedAfterStopIsDestroyedWithoutARun) {
  auto token = std::make_shared<int>(0);  // shared with the task, to see it go
  bool ran = false;
  {
    Reactor reactor;
    reactor.stop();
    reactor.run();
    reactor.post([&ran, token] { ran = true; });
    EXPECT_EQ(token.use_count(), 2);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Reactor, TurnAfterStopPollsOnceSoThatOthersCanFinish) {
  Reactor reactor;
  reactor.stop();
  bool ran = false;
  reactor.post([&] { ran = true; });
  reactor.turn(never);
  EXPECT_TRUE(ran);
}

TEST(Reactor, KnowsItsThread) {
  LoopThread loop;
  EXPECT_TRUE(loop.call([&] { return loop.reactor.in_thread(); }));
  EXPECT_FALSE(loop.reactor.in_thread());
  EXPECT_FALSE(loop.reactor.may_touch());
  loop.join();
  EXPECT_FALSE(loop.reactor.in_thread());
  EXPECT_TRUE(loop.reactor.may_touch());
}

TEST(Reactor, EachSecondRunsWhenTheLoopStartsAndBeforeTheEventsOfItsTurn) {
  Reactor reactor;
  std::vector<std::string> order;
  reactor.each_second([&] { order.push_back("second"); });
  reactor.post([&] { order.push_back("task"); });
  reactor.turn(0);
  reactor.turn(0);
  EXPECT_EQ(order, (std::vector<std::string>{"second", "task"}));
}

TEST(Reactor, EachSecondRunsAgainOnALoopWithNothingElseToDo) {
  Reactor reactor;
  int ran = 0;
  reactor.each_second([&] { ++ran; });
  EXPECT_TRUE(turn_until(reactor, [&] { return ran == 2; }));
}

TEST(Reactor, TellsTurnObserversAfterWhatTheTurnBrought) {
  struct Observer final : TurnObserver {
    std::vector<std::string>& order;
    explicit Observer(std::vector<std::string>& o) : order(o) {}
    void end_of_turn() override { order.push_back("end"); }
  };
  Reactor reactor;
  std::vector<std::string> order;
  Observer observer(order);
  reactor.observe_turns(observer);
  reactor.post([&] { order.push_back("task"); });
  reactor.turn(0);
  reactor.forget_turns(observer);
  reactor.turn(0);
  EXPECT_EQ(order, (std::vector<std::string>{"task", "end"}));
}

TEST(Reactor, ArmedTimerEndsASleepInTime) {
  struct Alarm : WheelEntry {
    Time fired = 0;
  } alarm;
  alarm.fire = [](WheelEntry& entry, Time now) { static_cast<Alarm&>(entry).fired = now; };
  Reactor reactor;
  auto const deadline = Reactor::clock() + milliseconds(10);
  reactor.wheel().arm(alarm, deadline);
  ASSERT_TRUE(turn_until(reactor, [&] { return alarm.fired != 0; }));
  EXPECT_GE(alarm.fired, deadline);
  EXPECT_LE(reactor.counters().waits.get(), 4u);
}

TEST(Reactor, FarTimerDoesNotWakeAnIdleLoop) {
  WheelEntry alarm;
  alarm.fire = [](WheelEntry&, Time) {};
  Reactor reactor;
  reactor.wheel().arm(alarm, Reactor::clock() + seconds(60));
  reactor.turn(Reactor::clock() + milliseconds(300));
  EXPECT_LE(reactor.counters().waits.get(), 3u);
  reactor.wheel().disarm(alarm);
}

// ---------------------------------------------------------------- tasks and letters

struct Note : Letter {
  int sender = 0, number = 0;
  std::vector<std::vector<int>>* received = nullptr;
};

Note make_note(int sender, int number, std::vector<std::vector<int>>& received) {
  Note note;
  note.sender = sender;
  note.number = number;
  note.received = &received;
  note.open = [](Letter& letter) {
    auto& self = static_cast<Note&>(letter);
    (*self.received)[static_cast<std::size_t>(self.sender)].push_back(self.number);
  };
  return note;
}

std::vector<int> counted_to(int n) {
  std::vector<int> numbers;
  for (int i = 0; i < n; ++i) numbers.push_back(i);
  return numbers;
}

constexpr int senders = 4;
constexpr int per_sender = 5000;

TEST(Reactor, RunsEveryPostOfManyThreadsInOrderPerSender) {
  LoopThread loop;
  std::vector<std::vector<int>> received(senders);
  std::vector<std::thread> threads;
  for (int s = 0; s < senders; ++s)
    threads.emplace_back([&, s] {
      for (int i = 0; i < per_sender; ++i)
        loop.reactor.post(
            [&received, s, i] { received[static_cast<std::size_t>(s)].push_back(i); });
    });
  for (auto& thread : threads) thread.join();
  loop.join();
  for (auto const& numbers : received) EXPECT_EQ(numbers, counted_to(per_sender));
}

enum class Sending { at_once, in_batches };
class Letters : public ::testing::TestWithParam<Sending> {};
INSTANTIATE_TEST_SUITE_P(Reactor, Letters,
                         ::testing::Values(Sending::at_once, Sending::in_batches));

TEST_P(Letters, OfManyThreadsAllArriveInOrderPerSender) {
  LoopThread loop;
  std::vector<std::vector<int>> received(senders);
  std::vector<std::vector<Note>> notes(senders);
  for (int s = 0; s < senders; ++s)
    for (int i = 0; i < per_sender; ++i)
      notes[static_cast<std::size_t>(s)].push_back(make_note(s, i, received));
  std::vector<std::thread> threads;
  for (auto& mine : notes)
    threads.emplace_back([&] {
      auto& outbox = Outbox::mine();
      for (auto& note : mine) {
        if (GetParam() == Sending::in_batches) outbox.hold();
        loop.reactor.deliver(note);
        if (note.number % 7 == 6) outbox.release();
        if (note.number % 100 == 99) loop.call([] {});  // lets the loop fall asleep in between
      }
      outbox.release();
    });
  for (auto& thread : threads) thread.join();
  loop.join();
  for (auto const& numbers : received) EXPECT_EQ(numbers, counted_to(per_sender));
}

TEST(Outbox, HoldsLettersToOneReceiverUntilItIsReleased) {
  Reactor reactor, other;
  std::vector<std::vector<int>> received(2);
  auto first = make_note(0, 1, received), second = make_note(0, 2, received);
  auto stranger = make_note(1, 3, received);
  auto& outbox = Outbox::mine();
  outbox.hold();
  reactor.deliver(first);
  reactor.deliver(second);
  other.deliver(stranger);
  EXPECT_FALSE(outbox.empty());
  std::thread([&] { other.turn(0); }).join();
  EXPECT_EQ(received[1], (std::vector<int>{3})) << "a second receiver's letters are not held";
  std::thread([&] { reactor.turn(0); }).join();
  EXPECT_TRUE(received[0].empty());
  outbox.release();
  EXPECT_FALSE(outbox.is_holding());
  reactor.turn(0);
  EXPECT_EQ(received[0], (std::vector<int>{1, 2}));
}

TEST(Outbox, FlushSendsAndGoesOnHolding) {
  Reactor reactor;
  std::vector<std::vector<int>> received(1);
  auto note = make_note(0, 1, received);
  auto& outbox = Outbox::mine();
  outbox.hold();
  reactor.deliver(note);
  outbox.flush_if_late(Reactor::clock() - seconds(1));
  EXPECT_FALSE(outbox.empty());
  outbox.flush_if_late(Reactor::clock() + Outbox::held_at_most + 1);
  EXPECT_TRUE(outbox.empty());
  EXPECT_TRUE(outbox.is_holding());
  outbox.release();
  reactor.turn(0);
  EXPECT_EQ(received[0], (std::vector<int>{1}));
}

TEST(Outbox, LoopSendsWhatItsTurnHeldAtTheEndOfTheTurn) {
  Reactor sender, receiver;
  std::vector<std::vector<int>> received(1);
  std::vector<Note> notes;
  for (int i = 0; i < 3; ++i) notes.push_back(make_note(0, i, received));
  sender.post([&] {
    for (auto& note : notes) receiver.deliver(note);
    EXPECT_FALSE(Outbox::mine().empty());
  });
  sender.turn(0);
  EXPECT_TRUE(Outbox::mine().empty());
  receiver.turn(0);
  EXPECT_EQ(received[0], counted_to(3));
}

TEST(Reactor, BatchOfLettersWakesItsReceiverOnce) {
  LoopThread loop;
  std::vector<std::vector<int>> received(1);
  std::vector<Note> notes;
  for (int i = 0; i < 100; ++i) notes.push_back(make_note(0, i, received));
  auto const before = loop.reactor.counters().wakeups.get();
  Outbox::mine().hold();
  for (auto& note : notes) loop.reactor.deliver(note);
  Outbox::mine().release();
  loop.join();  // wakes it a second time at most
  EXPECT_EQ(received[0], counted_to(100));
  EXPECT_LE(loop.reactor.counters().wakeups.get() - before, 2u);
}

// ---------------------------------------------------------------- descriptors and lifetimes

TEST(Reactor, UnwatchedInTheSameBatchIsNotCalled) {
  Reactor reactor;
  auto const first = ready_descriptor(), second = ready_descriptor();
  Ready a, b;
  a.act = [&](auto) { reactor.unwatch(second.get()); };
  b.act = [&](auto) { reactor.unwatch(first.get()); };
  ASSERT_TRUE(reactor.watch(first.get(), EPOLLIN, a));
  ASSERT_TRUE(reactor.watch(second.get(), EPOLLIN, b));
  reactor.turn(0);
  EXPECT_EQ(a.calls + b.calls, 1);
  EXPECT_EQ(reactor.counters().events.get(), 2u);
}

TEST(Reactor, DestroyedInTheSameBatchIsNotCalled) {
  Reactor reactor;
  auto const first = ready_descriptor(), second = ready_descriptor();
  std::optional<Ready> a, b;
  int calls = 0;
  a.emplace([&](auto) { ++calls, reactor.unwatch(second.get()), b.reset(); });
  b.emplace([&](auto) { ++calls, reactor.unwatch(first.get()), a.reset(); });
  ASSERT_TRUE(reactor.watch(first.get(), EPOLLIN, *a));
  ASSERT_TRUE(reactor.watch(second.get(), EPOLLIN, *b));
  reactor.turn(0);
  EXPECT_EQ(calls, 1);
}

TEST(Reactor, RewatchChangesWhatIsToldAndToWhom) {
  Reactor reactor;
  auto const descriptor = ready_descriptor();
  Ready a, b;
  ASSERT_TRUE(reactor.watch(descriptor.get(), EPOLLIN, a));
  reactor.turn(0);
  reactor.rewatch(descriptor.get(), 0, a);
  reactor.turn(0);
  EXPECT_EQ(a.calls, 1);
  reactor.rewatch(descriptor.get(), EPOLLIN, b);
  reactor.turn(0);
  EXPECT_EQ(a.calls, 1);
  EXPECT_EQ(b.calls, 1);
}

TEST(Reactor, WatchingAClosedDescriptorIsAnError) {
  Reactor reactor;
  Ready ready;
  auto const watched = reactor.watch(-1, EPOLLIN, ready);
  ASSERT_FALSE(watched);
  EXPECT_EQ(watched.error().code, base::Errc::io_error);
  reactor.unwatch(-1);
  reactor.unwatch(1'000'000);
}

TEST(Reactor, DeliversMoreEventsThanOneWaitHolds) {
  Reactor reactor;
  std::vector<testing::Descriptor> descriptors;
  std::vector<Ready> readies(Reactor::events_per_wait + 44);
  for (auto& ready : readies) {
    descriptors.push_back(ready_descriptor());
    ready.act = [&reactor, d = descriptors.back().get()](auto) { reactor.unwatch(d); };
    ASSERT_TRUE(reactor.watch(descriptors.back().get(), EPOLLIN, ready));
  }
  reactor.turn(0);
  reactor.turn(0);
  for (auto const& ready : readies) EXPECT_EQ(ready.calls, 1);
}

struct Mourned {
  bool& gone;
  explicit Mourned(bool& g) : gone(g) {}
  ~Mourned() { gone = true; }
};

TEST(Reactor, DisposesAtTheEndOfTheTurnAndNotBefore) {
  Reactor reactor;
  bool gone = false, gone_within = true;
  reactor.post([&] {
    reactor.dispose(new Mourned(gone));
    gone_within = gone;
  });
  reactor.turn(0);
  EXPECT_FALSE(gone_within);
  EXPECT_TRUE(gone);
}

TEST(Reactor, DestructorMayDisposeOfMore) {
  struct Parent {
    Reactor& reactor;
    bool& gone;
    ~Parent() { reactor.dispose(new Mourned(gone)); }
  };
  bool gone = false;
  {
    Reactor reactor;
    reactor.dispose(new Parent{reactor, gone});
  }
  EXPECT_TRUE(gone);
}

TEST(Reactor, EndsResidentsThatAreLeft) {
  struct Guest final : Resident {
    int& left;
    Guest(Reactor& reactor, int& l) : Resident(reactor), left(l) { ++left; }
    ~Guest() override { --left; }
  };
  int left = 0;
  {
    Reactor reactor;
    std::vector<Guest*> guests;
    for (int i = 0; i < 3; ++i) guests.push_back(std::make_unique<Guest>(reactor, left).release());
    delete guests[1];  // first, middle or last may leave early
    EXPECT_EQ(left, 2);
  }
  EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace millrace::net
