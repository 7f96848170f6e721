// A bounded queue in front of worker threads.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "millrace/exec/pattern.hpp"

namespace millrace::exec {

// dispatch() on any loop; the bound is exact. A worker takes one request at a time, so that none
// waits behind a slow handler while another worker idles; what is saved per batch is saved
// otherwise: a worker stays inside its guard until the queue is empty, and answers leave together
// (net::Outbox). At the end of a turn at most one sleeping worker is woken; who leaves work behind
// wakes the next.
class WorkerQueue final : public Dispatch {
 public:
  struct Options {
    // Threads. As many as handlers may wait at once; for handlers that compute, as many as cores.
    std::size_t workers = 1;
    // Requests that may wait; one more is refused. At 1 ms per request the last of 1024 waits a
    // second.
    std::size_t capacity = 1024;
  };
  WorkerQueue(const Options& options, WorkerGuard* guard);  // guard may be null; outlives the queue
  ~WorkerQueue() override;                                  // stops

  base::Status dispatch(Work work) override;  // any thread
  void end_of_turn() override;                // any thread
  // Runs what is queued, then joins. Refuses from then on. Twice is harmless; not on a worker.
  void stop() override;

  std::size_t depth() const;                                   // any thread
  const QueueCounters& counters() const { return counters_; }  // any thread
  std::vector<std::uint64_t> handled_per_worker() const;       // any thread

 private:
  struct Entry {
    Work work;
    base::Time queued = 0;
  };
  // One per thread, on a cache line of its own.
  struct alignas(64) Worker {
    trace::Counter handled;
    std::uint32_t quick_in_a_row = 0;  // that thread only
  };

  void work(Worker& worker);
  bool wait_for_work();
  void run_until_empty(Worker& worker);
  bool take(Entry& entry, base::Time now, bool is_first);
  bool claim_wake();

  mutable std::mutex lock_;  // of all up to threads_
  std::condition_variable idle_;
  std::vector<Entry> ring_;
  std::size_t head_ = 0, count_ = 0;
  std::size_t sleepers_ = 0;
  bool is_wake_under_way_ = false;  // a woken worker has not looked at the queue yet
  bool is_stopped_ = false;
  QueueCounters counters_;

  std::atomic<bool> wake_due_{false};  // something was queued since the last end_of_turn
  WorkerGuard* guard_;
  std::vector<Worker> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::exec
