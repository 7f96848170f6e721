#include "millrace/exec/worker_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <latch>
#include <numeric>

#include "net/loops.hpp"

namespace millrace::exec {
namespace {

using testing::LoopThread;

// Jobs as functions, kept until the end of the test.
class Jobs {
 public:
  explicit Jobs(WorkerQueue& queue) : queue_(queue) {}
  [[nodiscard]] bool add(std::function<void()> job) {
    auto& kept = kept_.emplace_back(std::move(job));
    return static_cast<bool>(queue_.dispatch(
        {&kept, [](void* subject) { (*static_cast<std::function<void()>*>(subject))(); }}));
  }

 private:
  WorkerQueue& queue_;
  std::deque<std::function<void()>> kept_;
};

// Waits with a limit, so that a lost wake-up is a failure and not a hang.
template <class Latch>
[[nodiscard]] bool opens(Latch& latch) {
  auto const end = net::Reactor::clock() + testing::patience;
  while (!latch.try_wait()) {
    if (net::Reactor::clock() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(WorkerQueue, RunsWhatIsDispatched) {
  WorkerQueue queue({.workers = 2}, nullptr);
  Jobs jobs(queue);
  std::latch done(10);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(jobs.add([&] { done.count_down(); }));
  queue.end_of_turn();
  EXPECT_TRUE(opens(done));
  auto const handled = queue.handled_per_worker();
  EXPECT_EQ(handled.size(), 2u);
  EXPECT_EQ(std::accumulate(handled.begin(), handled.end(), std::uint64_t{0}), 10u);
  EXPECT_EQ(queue.counters().dispatched.get(), 10u);
  EXPECT_GE(queue.counters().depth_max.get(), 1u);
  EXPECT_LE(queue.counters().depth_max.get(), 10u);
}

TEST(WorkerQueue, BoundIsExactAndOneMoreIsRefused) {
  constexpr std::size_t capacity = 5;
  std::latch running(1), release(1), done(capacity + 1);
  WorkerQueue queue({.workers = 1, .capacity = capacity}, nullptr);
  Jobs jobs(queue);
  ASSERT_TRUE(jobs.add([&] {
    running.count_down();
    release.wait();
    done.count_down();
  }));
  queue.end_of_turn();
  ASSERT_TRUE(opens(running));  // out of the queue, so that all of it is free
  for (std::size_t i = 0; i < capacity; ++i) EXPECT_TRUE(jobs.add([&] { done.count_down(); }));
  EXPECT_EQ(queue.depth(), capacity);
  int ran = 0;
  auto const refused = queue.dispatch({&ran, [](void* subject) { ++*static_cast<int*>(subject); }});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::overloaded);
  EXPECT_EQ(queue.counters().refused.get(), 1u);
  EXPECT_EQ(queue.counters().dispatched.get(), capacity + 1);
  EXPECT_EQ(queue.counters().depth_max.get(), capacity);
  release.count_down();
  EXPECT_TRUE(opens(done));
  EXPECT_EQ(queue.depth(), 0u);
  EXPECT_GT(queue.counters().wait_ns.get(), 0u);
  queue.stop();
  EXPECT_EQ(ran, 0);
}

TEST(WorkerQueue, SlowRequestKeepsNoQuickOneWaitingWhileAWorkerIsFree) {
  constexpr int quick = 40;
  std::latch all_quick_done(quick), slow_done(1);
  WorkerQueue queue({.workers = 2}, nullptr);
  Jobs jobs(queue);
  ASSERT_TRUE(jobs.add([&] {
    EXPECT_TRUE(opens(all_quick_done)) << "quick requests wait behind the slow one";
    slow_done.count_down();
  }));
  for (int i = 0; i < quick; ++i) ASSERT_TRUE(jobs.add([&] { all_quick_done.count_down(); }));
  queue.end_of_turn();
  EXPECT_TRUE(opens(slow_done));
}

// One wake-up per turn, and yet all are needed: who leaves work behind wakes the next.
TEST(WorkerQueue, BurstOfOneTurnReachesAllWorkers) {
  constexpr int workers = 4;
  for (int round = 0; round < 50; ++round) {
    std::latch together(workers), done(workers);
    WorkerQueue queue({.workers = workers}, nullptr);
    Jobs jobs(queue);
    for (int i = 0; i < workers; ++i)
      ASSERT_TRUE(jobs.add([&] {
        together.count_down();
        EXPECT_TRUE(opens(together));  // only if each has a worker of its own
        done.count_down();
      }));
    queue.end_of_turn();
    ASSERT_TRUE(opens(done));
  }
}

TEST(WorkerQueue, RequestsOfLaterTurnsReachIdleWorkersWhileOthersBlock) {
  constexpr int workers = 3;
  std::latch release(1), done(workers);
  WorkerQueue queue({.workers = workers}, nullptr);
  Jobs jobs(queue);
  std::deque<std::latch> running;
  for (int i = 0; i < workers; ++i) {
    auto& mine = running.emplace_back(1);
    ASSERT_TRUE(jobs.add([&] {
      mine.count_down();
      release.wait();
      done.count_down();
    }));
    queue.end_of_turn();
    ASSERT_TRUE(opens(mine));
  }
  release.count_down();
  EXPECT_TRUE(opens(done));
}

TEST(WorkerQueue, TurnWithoutWorkWakesNobody) {
  WorkerQueue queue({.workers = 2}, nullptr);
  for (int i = 0; i < 100; ++i) queue.end_of_turn();
  EXPECT_EQ(queue.counters().wakeups.get(), 0u);
}

TEST(WorkerQueue, StopRunsWhatIsQueuedAndRefusesWhatComesLater) {
  std::latch running(1), release(1);
  std::atomic<int> ran = 0;
  WorkerQueue queue({.workers = 1}, nullptr);
  Jobs jobs(queue);
  ASSERT_TRUE(jobs.add([&] {
    running.count_down();
    release.wait();
  }));
  queue.end_of_turn();
  ASSERT_TRUE(opens(running));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(jobs.add([&] { ++ran; }));
  release.count_down();
  queue.stop();
  EXPECT_EQ(ran, 100);
  EXPECT_FALSE(jobs.add([&] { ++ran; }));
  queue.stop();
  EXPECT_EQ(ran, 100);
}

TEST(WorkerQueue, StopRunsWhatNoTurnHasAnnouncedYet) {
  std::atomic<int> ran = 0;
  WorkerQueue queue({.workers = 3}, nullptr);
  Jobs jobs(queue);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(jobs.add([&] { ++ran; }));
  queue.stop();
  EXPECT_EQ(ran, 10);
}

TEST(WorkerQueue, ManyLoopsAndWorkersRunEveryJobOnce) {
  constexpr int loops = 2, per_loop = 20'000;
  WorkerQueue queue({.workers = 3, .capacity = 64}, nullptr);
  std::vector<std::vector<std::atomic<int>>> runs(loops);
  for (auto& mine : runs) mine = std::vector<std::atomic<int>>(per_loop);
  std::atomic<int> refusals = 0;
  std::vector<std::thread> threads;
  for (auto& mine : runs)
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < mine.size();) {
        Work const job{&mine[i], [](void* subject) { ++*static_cast<std::atomic<int>*>(subject); }};
        if (queue.dispatch(job))
          ++i;
        else
          ++refusals, std::this_thread::yield();
        if (i % 5 == 0) queue.end_of_turn();
      }
      queue.end_of_turn();
    });
  for (auto& thread : threads) thread.join();
  queue.stop();
  for (auto const& mine : runs)
    for (auto const& count : mine) ASSERT_EQ(count, 1);
  EXPECT_EQ(queue.counters().dispatched.get(), static_cast<std::uint64_t>(loops * per_loop));
  EXPECT_EQ(queue.counters().refused.get(), static_cast<std::uint64_t>(refusals.load()));
}

// ---------------------------------------------------------------- guards and answers

// What an interpreter's lock would be to the workers.
struct Interpreter final : WorkerGuard {
  std::mutex lock;
  std::atomic<int> threads = 0, begun = 0, inside = 0, entered = 0;
  void thread_begins() override { ++threads, ++begun; }
  void enter() override {
    lock.lock();
    ++inside, ++entered;
  }
  void leave() override {
    --inside;
    lock.unlock();
  }
  void thread_ends() override { --threads; }
};

TEST(WorkerGuard, SurroundsWorkAndIsLeftBeforeAWorkerSleeps) {
  Interpreter interpreter;
  {
    WorkerQueue queue({.workers = 2}, &interpreter);
    Jobs jobs(queue);
    for (int round = 0; round < 200; ++round) {
      std::latch done(3);
      for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(jobs.add([&] {
          EXPECT_EQ(interpreter.inside, 1);
          done.count_down();
        }));
      queue.end_of_turn();
      ASSERT_TRUE(opens(done));
      // Nobody sleeps with it: it can always be had.
      interpreter.lock.lock();
      EXPECT_EQ(interpreter.inside, 0);
      interpreter.lock.unlock();
    }
  }
  EXPECT_EQ(interpreter.begun, 2);
  EXPECT_EQ(interpreter.threads, 0);
}

TEST(WorkerGuard, IsEnteredOnceForABurst) {
  Interpreter interpreter;
  std::latch all_queued(1), done(100);
  WorkerQueue queue({.workers = 1}, &interpreter);
  Jobs jobs(queue);
  ASSERT_TRUE(jobs.add([&] { all_queued.wait(); }));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(jobs.add([&] { done.count_down(); }));
  queue.end_of_turn();
  all_queued.count_down();
  ASSERT_TRUE(opens(done));
  EXPECT_EQ(interpreter.entered, 1);
}

// A handler that waits gives the interpreter's lock back by itself; the others must get in then.
TEST(WorkerGuard, HandlersThatWaitOutsideItRunAtTheSameTime) {
  constexpr int workers = 4;
  Interpreter interpreter;
  std::latch together(workers), done(workers);
  WorkerQueue queue({.workers = workers}, &interpreter);
  Jobs jobs(queue);
  for (int i = 0; i < workers; ++i)
    ASSERT_TRUE(jobs.add([&] {
      interpreter.leave();
      together.count_down();
      EXPECT_TRUE(opens(together));
      interpreter.enter();
      done.count_down();
    }));
  queue.end_of_turn();
  EXPECT_TRUE(opens(done));
}

struct Answer : net::Letter {
  std::latch arrived{1};
  Answer() {
    open = [](Letter& letter) { static_cast<Answer&>(letter).arrived.count_down(); };
  }
};

TEST(WorkerQueue, SlowHandlerDoesNotHoldBackTheAnswersBeforeIt) {
  LoopThread loop;
  Answer answer;
  std::latch done(1);
  WorkerQueue queue({.workers = 1}, nullptr);
  Jobs jobs(queue);
  ASSERT_TRUE(jobs.add([&] { loop.reactor.deliver(answer); }));
  ASSERT_TRUE(jobs.add([&] {
    EXPECT_TRUE(opens(answer.arrived));
    done.count_down();
  }));
  queue.end_of_turn();
  EXPECT_TRUE(opens(done));
}

TEST(WorkerQueue, HoldsAnswersBackOnlyWhileHandlersAreQuick) {
  std::atomic<bool> holds = false;
  WorkerQueue queue({.workers = 1}, nullptr);
  Jobs jobs(queue);
  auto const run = [&](std::function<void()> job) {
    std::latch done(1);
    EXPECT_TRUE(jobs.add([&] {
      job();
      holds = net::Outbox::mine().is_holding();
      done.count_down();
    }));
    queue.end_of_turn();
    return opens(done);
  };
  // A machine that takes the core away for a while makes any handler slow: so, until it holds.
  for (int i = 0; i < 100'000 && !holds; ++i) ASSERT_TRUE(run([] {}));
  ASSERT_TRUE(holds);
  ASSERT_TRUE(run([] {
    auto const end = net::Reactor::clock() + base::milliseconds(2);
    while (net::Reactor::clock() < end) continue;
  }));
  ASSERT_TRUE(run([] {}));
  EXPECT_FALSE(holds);
}

TEST(WorkerQueue, AnswersOfABatchAllArrive) {
  constexpr std::size_t count = 20'000;
  LoopThread loop;
  struct Reply : net::Letter {
    net::Reactor* home = nullptr;
    std::size_t* received = nullptr;
  };
  std::size_t received = 0;
  std::vector<Reply> replies(count);
  {
    WorkerQueue queue({.workers = 2, .capacity = count}, nullptr);
    for (auto& reply : replies) {
      reply.home = &loop.reactor;
      reply.received = &received;
      reply.open = [](net::Letter& letter) { ++*static_cast<Reply&>(letter).received; };
      ASSERT_TRUE(queue.dispatch({&reply, [](void* subject) {
                                    auto& self = *static_cast<Reply*>(subject);
                                    self.home->deliver(self);
                                  }}));
      queue.end_of_turn();
    }
  }
  loop.join();
  EXPECT_EQ(received, count);
}

}  // namespace
}  // namespace millrace::exec
