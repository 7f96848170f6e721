// Who is answered now, who waits for his turn, and who is turned away.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>

#include "millrace/server/adaptive_limit.hpp"
#include "millrace/server/waiting_line.hpp"

namespace millrace::server {

struct AdmissionOptions {
  // Requests being answered; one more waits where there is a queue, or is answered 503 with
  // Retry-After. Far above what one machine answers well at once: it bounds memory. To bound the
  // time that requests wait for each other, measure, or let it adapt.
  std::size_t max_in_flight = 10'000;
  // Finds the number, at most max_in_flight, from how long requests take; see AdaptiveLimit.
  bool adaptive = false;
  // Requests that wait for their turn, their bodies unread; one more is 503. None by default: where
  // 10,000 are under way, to wait behind them helps nobody. With a small max_in_flight, some.
  std::size_t queue_requests = 0;
  // How long one waits until it is 503. A client that asks again is better served than one that
  // hears late.
  base::Duration queue_timeout = base::seconds(1);
};

// Counts who is answered; its lock is taken only where somebody has to wait.
class Admission final : WaitingLine::Places {
 public:
  using Tell = std::function<void(conn::Exchange&)>;
  // `start` and `refuse` are called on the exchange's home loop, for those that had to wait.
  Admission(const AdmissionOptions& options, Tell start, Tell refuse);
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  enum class Answer : std::uint8_t { start, wait, refuse };
  // Home loop, as all that take an exchange.
  Answer ask(conn::Exchange& exchange);
  // The exchange is over, whatever was answered.
  void leave(conn::Exchange& exchange);

  std::size_t in_flight() const { return in_flight_.load(); }                   // any thread
  std::size_t waiting() const { return line_.size(); }                          // any thread
  std::size_t limit() const { return limit_.load(std::memory_order_relaxed); }  // any thread

 private:
  // WaitingLine::Places
  bool take_place() override;
  void return_place() override;
  void on_turn(conn::Exchange& exchange) override;
  void on_patience_end(conn::Exchange& exchange) override { refuse_(exchange); }

  void learn_from(const conn::Exchange& exchange);

  const AdmissionOptions& options_;
  Tell start_, refuse_;
  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> in_flight_{0};
  WaitingLine line_{*this};
  std::mutex learning_;
  std::optional<AdaptiveLimit> adaptive_;
};

}  // namespace millrace::server
