#include "millrace/exec/worker_queue.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace millrace::exec {
namespace {

// A handler that took this long is not held against: the answers before it would have waited for
// it.
constexpr base::Duration slow_handler = base::milliseconds(1);
// Quick handlers in a row after which a worker holds its answers back to send them together. One
// slow request in a hundred keeps it from doing so, one in ten thousand does not.
constexpr std::uint32_t trusted_after = 1024;

}  // namespace

WorkerQueue::WorkerQueue(const Options& options, WorkerGuard* guard)
    : ring_(options.capacity), guard_(guard), workers_(options.workers) {
  assert(options.workers > 0 && options.capacity > 0);
  threads_.reserve(options.workers);
  for (auto& worker : workers_) threads_.emplace_back([this, &worker] { work(worker); });
}

WorkerQueue::~WorkerQueue() { stop(); }

base::Status WorkerQueue::dispatch(Work work) {
  auto const now = net::Reactor::clock();
  {
    std::lock_guard const guard(lock_);
    if (count_ == ring_.size() || is_stopped_) {
      counters_.refused.add();
      return base::failure(base::Errc::overloaded, {},
                           is_stopped_ ? "the workers have stopped" : "the queue is full");
    }
    auto const tail = head_ + count_;
    ring_[tail < ring_.size() ? tail : tail - ring_.size()] = {work, now};
    ++count_;
    counters_.dispatched.add();
    if (count_ > counters_.depth_max.get()) counters_.depth_max.set(count_);
  }
  wake_due_.store(true, std::memory_order_relaxed);
  return {};
}

void WorkerQueue::end_of_turn() {
  if (!wake_due_.load(std::memory_order_relaxed)) return;
  wake_due_.store(false, std::memory_order_relaxed);
  bool wakes = false;
  {
    std::lock_guard const guard(lock_);
    wakes = count_ > 0 && claim_wake();
  }
  if (wakes) idle_.notify_one();
}

void WorkerQueue::stop() {
  {
    std::lock_guard const guard(lock_);
    is_stopped_ = true;
  }
  idle_.notify_all();
  for (auto& thread : threads_) {
    assert(thread.get_id() != std::this_thread::get_id());
    if (thread.joinable()) thread.join();
  }
}

std::size_t WorkerQueue::depth() const {
  std::lock_guard const guard(lock_);
  return count_;
}

std::vector<std::uint64_t> WorkerQueue::handled_per_worker() const {
  std::vector<std::uint64_t> handled;
  for (auto const& worker : workers_) handled.push_back(worker.handled.get());
  return handled;
}

void WorkerQueue::work(Worker& worker) {
  if (guard_) guard_->thread_begins();
  while (wait_for_work()) {
    // The guard before the request: a worker that waits for the interpreter's lock holds no request
    // that the worker inside could run meanwhile.
    if (guard_) guard_->enter();
    run_until_empty(worker);
    if (guard_) guard_->leave();
  }
  if (guard_) guard_->thread_ends();
}

// False: stopped, and nothing is left.
bool WorkerQueue::wait_for_work() {
  std::unique_lock guard(lock_);
  while (count_ == 0) {
    if (is_stopped_) return false;
    ++sleepers_;
    idle_.wait(guard);
    --sleepers_;
    if (count_ == 0) is_wake_under_way_ = false;
  }
  return true;
}

void WorkerQueue::run_until_empty(Worker& worker) {
  auto& outbox = net::Outbox::mine();
  auto now = net::Reactor::clock();
  Entry entry;
  for (bool is_first = true; take(entry, now, is_first); is_first = false) {
    if (worker.quick_in_a_row >= trusted_after) outbox.hold();
    worker.handled.add();  // before its answer can be seen
    entry.work.run(entry.work.subject);
    auto const started = std::exchange(now, net::Reactor::clock());
    bool const was_slow = now - started >= slow_handler;
    worker.quick_in_a_row = was_slow ? 0 : std::min(worker.quick_in_a_row + 1, trusted_after);
    if (was_slow)
      outbox.release();
    else
      outbox.flush_if_late(now);
  }
  outbox.release();
}

bool WorkerQueue::take(Entry& entry, base::Time now, bool is_first) {
  bool wakes = false;
  {
    std::lock_guard const guard(lock_);
    if (is_first) is_wake_under_way_ = false;
    if (count_ == 0) return false;
    entry = ring_[head_];
    if (++head_ == ring_.size()) head_ = 0;
    --count_;
    // Queued after `now` was read: it did not wait.
    counters_.wait_ns.add(
        static_cast<std::uint64_t>(std::max<base::Duration>(now - entry.queued, 0)));
    wakes = count_ > 0 && claim_wake();
  }
  if (wakes) idle_.notify_one();
  return true;
}

// With the lock held. True: notify one. One at a time is under way, so that a burst of turns does
// not wake everybody for what the first to wake can do; it wakes the next if it cannot.
bool WorkerQueue::claim_wake() {
  if (sleepers_ == 0 || is_wake_under_way_) return false;
  is_wake_under_way_ = true;
  counters_.wakeups.add();
  return true;
}

}  // namespace millrace::exec
