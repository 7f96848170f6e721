// What the tests of net and of the layers above share: loops that run until something is true.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "millrace/net/reactor.hpp"

namespace millrace::testing {

// Long enough for a sanitizer on a busy machine. Only a failing test ever waits for it.
constexpr base::Duration patience = base::seconds(30);

// Turns the loop on this thread until `is_true` after a turn. False: patience has ended.
[[nodiscard]] inline bool turn_until(net::Reactor& reactor, std::function<bool()> is_true) {
  struct Until final : net::PollGuard {
    std::function<bool()> is_true;
    void before_wait() override {}
    void after_wait() override {}
    bool end_of_turn() override { return is_true(); }
  } guard;
  guard.is_true = std::move(is_true);
  if (guard.is_true()) return true;
  reactor.set_guard(&guard);
  reactor.turn(net::Reactor::clock() + patience);
  reactor.set_guard(nullptr);
  return guard.is_true();
}

// A reactor with a thread of its own; stops and joins on destruction.
class LoopThread {
 public:
  LoopThread() : thread_([this] { reactor.run(); }) {}
  ~LoopThread() { join(); }
  void join() {
    reactor.stop();
    if (thread_.joinable()) thread_.join();
  }
  // Runs it on the loop and waits for its end.
  template <class F>
  auto call(F task) -> decltype(task()) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    auto result = packaged.get_future();
    reactor.post([&packaged] { packaged(); });
    return result.get();
  }

  net::Reactor reactor;

 private:
  std::thread thread_;
};

}  // namespace millrace::testing
