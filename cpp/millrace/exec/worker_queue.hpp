// A bounded queue in front of worker threads.
#pragma once
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "millrace/exec/pattern.hpp"

namespace millrace::exec {

// dispatch() on any loop; the bound is exact. At the end of a turn at most one sleeping worker is woken per turn; a worker
// that leaves work behind wakes the next. Replies leave in batches (net::Outbox), the outbox is also released after
// about 100 us of handler time, so that one slow handler does not delay the answers before it.
class WorkerQueue final : public Dispatch {
 public:
  // Requests a worker takes at once. Small, so that workers share the load; a batch is what saves wake-ups and GIL turns.
  static constexpr std::size_t batch = 16;

  struct Options {
    std::size_t workers = 1;
    std::size_t capacity = 1024;
  };
  WorkerQueue(const Options& options, WorkerGuard* guard);  // guard may be null; outlives the queue
  ~WorkerQueue() override;

  base::Status dispatch(Work work) override;
  void end_of_turn() override;
  void stop() override;

  std::size_t depth() const;                                   // any thread
  const QueueCounters& counters() const { return counters_; }  // any thread
  std::vector<std::uint64_t> handled_per_worker() const;       // any thread

 private:
  struct Entry {
    Work work;
    base::Time queued = 0;
  };
  void work(std::size_t index);
  std::size_t take(std::span<Entry> into, bool& more);

  mutable std::mutex lock_;
  std::vector<Entry> ring_;
  std::size_t head_ = 0, count_ = 0;
  QueueCounters counters_;
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> wake_due_{false};
  std::atomic<bool> stopped_{false};
  WorkerGuard* guard_;
  std::vector<trace::Counter> handled_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::exec
