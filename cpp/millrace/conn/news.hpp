// How readers and writers on any thread hear of a connection that lives on a loop.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

#include "millrace/base/time.hpp"

namespace millrace::conn {

// Any thread, unless said otherwise.
class News {
 public:
  // Waits for news, and returns false at the deadline (clock of net::Reactor).
  bool wait_for_news(base::Time until);
  // Told once of each news that a call said to wait for, and of the end; on the home loop. Replaces
  // the one before it.
  void watch(std::function<void()> on_news);
  bool is_closed() const;

 protected:
  using Locked = std::unique_lock<std::mutex>;
  ~News() = default;
  // Unlocks where somebody watches.
  void tell(Locked& locked);
  // What on_news holds, to be destroyed behind the lock.
  std::function<void()> forget_watcher(const Locked&) { return std::exchange(on_news_, nullptr); }

  mutable std::mutex lock_;  // of all below, and of what heirs say
  bool wants_news_ = false;  // somebody has been told to wait
  bool closed_ = false;

 private:
  std::condition_variable news_came_;
  std::function<void()> on_news_;
  std::uint64_t news_ = 0;  // counts
};

}  // namespace millrace::conn
