#include "millrace/observe/line_queue.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace millrace::observe {

// ----------------------------------------------------------------------------------------------
// a loop's side

LineQueue::Ring::Ring(LineQueue& queue, std::size_t bytes)
    : queue_(queue), size_(bytes), bytes_(new char[bytes]) {}

void LineQueue::Ring::put(base::ByteView line) {
  auto const put = put_.load(std::memory_order_relaxed);
  auto const waiting = put - taken_.load(std::memory_order_acquire);
  if (line.size() > size_ - waiting) {
    dropped_.add();
    queue_.ring_bell(true);
    return;
  }
  auto const at = put & (size_ - 1);
  auto const first = std::min(line.size(), size_ - at);
  std::memcpy(bytes_.get() + at, line.data(), first);
  std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
  lines_.add();  // before the reader can lose it
  // Before the look at the bell, which the reader takes back before it looks here: one of the two
  // sees the other.
  put_.store(put + line.size(), std::memory_order_seq_cst);
  queue_.ring_bell(waiting + line.size() > size_ / 2);
}

void LineQueue::ring_bell(bool urgent) {
  if (rung_.load(std::memory_order_seq_cst) && (!urgent || urgent_.load(std::memory_order_relaxed)))
      [[likely]]
    return;
  {
    std::lock_guard const guard(lock_);
    rung_.store(true, std::memory_order_relaxed);
    if (urgent) urgent_.store(true, std::memory_order_relaxed);
  }
  bell_.notify_one();
}

// ----------------------------------------------------------------------------------------------
// the reader's side

LineQueue::LineQueue(const LineQueueOptions& options)
    : options_{std::bit_ceil(options.ring_bytes), options.interval} {}

LineQueue::Ring& LineQueue::add_ring() {
  return *rings_.emplace_back(std::make_unique<Ring>(*this, options_.ring_bytes));
}

void LineQueue::Ring::take(std::string& into) {
  auto const taken = taken_.load(std::memory_order_relaxed);
  auto const size = put_.load(std::memory_order_seq_cst) - taken;
  auto const at = taken & (size_ - 1);
  auto const first = std::min(size, size_ - at);
  into.append(bytes_.get() + at, first);
  into.append(bytes_.get(), size - first);
  taken_.store(taken + size, std::memory_order_release);
}

void LineQueue::take_all(std::string& into) {
  for (auto& ring : rings_) ring->take(into);
}

bool LineQueue::wait() {
  std::unique_lock guard(lock_);
  bell_.wait(guard, [this] { return rung_.load() || closed_ || interrupted_; });
  // Others may follow, to be written in the same call.
  bell_.wait_for(guard, std::chrono::nanoseconds(options_.interval),
                 [this] { return urgent_.load() || closed_ || interrupted_; });
  bool const has_lines = rung_.exchange(false, std::memory_order_seq_cst);
  urgent_.store(false);
  return has_lines || !(closed_ || std::exchange(interrupted_, false));
}

std::string LineQueue::take() {
  std::string batch;
  // The bell may have been for a line that was dropped, or was taken already.
  while (batch.empty() && wait()) take_all(batch);
  return batch;
}

LineQueue::Ended LineQueue::write_to(int descriptor) {
  std::string batch;
  while (wait()) {
    batch.clear();
    take_all(batch);
    if (batch.empty()) continue;
    bool const was_failing = failing_;
    failing_ = !write(descriptor, batch);
    if (failing_ != was_failing) return failing_ ? Ended::failed : Ended::recovered;
  }
  return is_closed() ? Ended::closed : Ended::interrupted;
}

bool LineQueue::write(int descriptor, base::ByteView batch) {
  auto const size = batch.size();
  std::string whole;
  if (torn_) {  // the half line gets its end, so that it cannot swallow the next one
    whole.append("\n").append(batch);
    batch = whole;
  }
  while (!batch.empty()) {
    auto const written = ::write(descriptor, batch.data(), batch.size());
    if (written >= 0) {
      torn_ = written > 0 ? batch[static_cast<std::size_t>(written) - 1] != '\n' : torn_;
      batch.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    error_ = errno;
    pollfd ready{descriptor, POLLOUT, 0};
    // A pipe or a terminal that somebody made non-blocking: its reader gets a moment.
    constexpr int patience_ms = 100;
    if (error_ == EAGAIN && ::poll(&ready, 1, patience_ms) > 0 && (ready.revents & POLLOUT))
      continue;
    if (batch.size() > size) batch.remove_prefix(1);  // the end of a line that is counted already
    lost_.add(static_cast<std::uint64_t>(std::count(batch.begin(), batch.end(), '\n')));
    return false;
  }
  return true;
}

// ----------------------------------------------------------------------------------------------
// any thread

void LineQueue::interrupt() {
  {
    std::lock_guard const guard(lock_);
    interrupted_ = true;
  }
  bell_.notify_one();
}

void LineQueue::close() {
  {
    std::lock_guard const guard(lock_);
    closed_ = true;
  }
  bell_.notify_one();
}

bool LineQueue::is_closed() const {
  std::lock_guard const guard(lock_);
  return closed_;
}

std::uint64_t LineQueue::lines() const {
  // First: what is lost between the two looks is among the lines then.
  auto const lost = lost_.get();
  std::uint64_t sum = 0;
  for (auto const& ring : rings_) sum += ring->lines_.get();
  return sum - std::min(lost, sum);
}

std::uint64_t LineQueue::dropped() const {
  auto sum = lost_.get();
  for (auto const& ring : rings_) sum += ring->dropped_.get();
  return sum;
}

}  // namespace millrace::observe
