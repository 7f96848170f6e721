#include "millrace/server/queued_calls.hpp"

#include <utility>

namespace millrace::server {

namespace {

// Until a full queue is tried again: a handler's time or two.
constexpr base::Duration retry_after = base::milliseconds(20);

}  // namespace

QueuedCalls::QueuedCalls(conn::Conversation& conversation, StreamHandler& handler,
                         exec::WorkerQueue& queue, std::atomic<std::size_t>& in_flight,
                         std::size_t most_waiting_bytes)
    : conversation_(conversation),
      handler_(handler),
      queue_(queue),
      in_flight_(in_flight),
      most_waiting_bytes_(most_waiting_bytes) {
  open = [](net::Letter& letter) { static_cast<QueuedCalls&>(letter).come_home(); };
  retry_.calls = this;
  retry_.fire = [](net::WheelEntry& entry, base::Time) {
    static_cast<Retry&>(entry).calls->dispatch();
  };
}

void QueuedCalls::add(base::ByteView message) {
  waiting_.bytes.append(message);
  waiting_.ends.push_back(waiting_.bytes.size());
  conversation_.home().counters().bytes_copied.add(message.size());
  if (!is_running_ && !retry_.next) dispatch();
  if (waiting_.bytes.size() < most_waiting_bytes_ || is_paused_) return;
  is_paused_ = true;
  conversation_.pause();
}

void QueuedCalls::dispatch() {
  auto& home = conversation_.home();
  std::swap(waiting_, running_);
  auto const queued =
      queue_.dispatch({this, [](void* subject) { static_cast<QueuedCalls*>(subject)->run(); }});
  if (!queued) {
    std::swap(waiting_, running_);
    home.counters().requests_refused.add();
    home.wheel().arm(retry_, home.now() + retry_after);
    return;
  }
  is_running_ = true;
  kept_conversation_ = conversation_.shared_from_this();
  kept_ = shared_from_this();
  in_flight_.fetch_add(1, std::memory_order_relaxed);
  if (std::exchange(is_paused_, false)) conversation_.resume();
}

void QueuedCalls::run() {
  std::size_t begin = 0;
  for (auto const end : running_.ends) {
    auto const message = base::ByteView(running_.bytes).substr(begin, end - begin);
    if (conversation_.is_closed()) break;
    has_failed_ = !handler_.handle(conversation_, message);
    if (has_failed_) break;
    begin = end;
  }
  conversation_.home().deliver(*this);
}

void QueuedCalls::come_home() {
  auto const conversation = std::move(kept_conversation_);
  auto const alive = std::move(kept_);
  is_running_ = false;
  running_.bytes.clear();
  running_.ends.clear();
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  if (is_gone_) return;
  if (has_failed_) {
    conversation_.home().counters().requests_failed.add();
    conversation_.end(base::Error{base::Errc::cancelled, {}, "its handler failed"});
  } else if (!waiting_.ends.empty()) {
    dispatch();
  } else if (has_ended_) {
    conversation_.close();
  }
}

void QueuedCalls::end() {
  has_ended_ = true;
  if (!is_running_ && waiting_.ends.empty()) conversation_.close();
}

void QueuedCalls::forget() {
  is_gone_ = true;
  conversation_.home().wheel().disarm(retry_);
  waiting_ = {};
}

}  // namespace millrace::server
