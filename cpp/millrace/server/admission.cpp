#include "millrace/server/admission.hpp"

#include <utility>

namespace millrace::server {

using conn::Exchange;

Admission::Admission(const AdmissionOptions& options, Tell start, Tell refuse)
    : options_(options),
      start_(std::move(start)),
      refuse_(std::move(refuse)),
      limit_(options.max_in_flight) {
  if (!options.adaptive) return;
  adaptive_.emplace(AdaptiveLimitOptions{.most = options.max_in_flight});
  limit_.store(adaptive_->limit());
}

Admission::Answer Admission::ask(Exchange& exchange) {
  exchange.admitted = 0;
  if (line_.size() == 0 && take_place()) {
    exchange.admitted = exchange.home().now();
    return Answer::start;
  }
  if (!line_.join(exchange, {options_.queue_requests, options_.queue_timeout,
                             &trace::LoopCounters::requests_waited}))
    return Answer::refuse;
  line_.advance();  // somebody may have left just before it stood in line
  return Answer::wait;
}

bool Admission::take_place() {
  auto const most = limit_.load(std::memory_order_relaxed);
  auto now = in_flight_.load();
  while (now < most)
    if (in_flight_.compare_exchange_weak(now, now + 1)) return true;
  return false;
}

void Admission::return_place() {
  in_flight_.fetch_sub(1);
  line_.advance();
}

void Admission::on_turn(Exchange& exchange) {
  exchange.admitted = exchange.home().now();
  start_(exchange);
}

void Admission::leave(Exchange& exchange) {
  if (exchange.admitted == 0) return;
  if (adaptive_) learn_from(exchange);
  return_place();
}

void Admission::learn_from(const Exchange& exchange) {
  std::unique_lock const guard(learning_, std::try_to_lock);
  if (!guard) return;  // a sample less
  adaptive_->sample(net::Reactor::clock() - exchange.admitted, in_flight_.load());
  limit_.store(adaptive_->limit(), std::memory_order_relaxed);
}

}  // namespace millrace::server
