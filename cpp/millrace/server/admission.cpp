#include "millrace/server/admission.hpp"

#include <memory>
#include <utility>

namespace millrace::server {

using conn::Exchange;

// Lives on its exchange's home loop; only the queue's links belong to the lock. Once it has been
// handed a place it is a letter on its way home, and nobody else's.
struct Admission::Waiting : net::Letter {
  struct Patience : net::WheelEntry {
    Waiting* one = nullptr;
  };
  Admission* admission = nullptr;
  Exchange* exchange = nullptr;  // null: its client left while its letter was under way
  net::Reactor* home = nullptr;
  Patience patience;
  Waiting *previous = nullptr, *next = nullptr;
  bool is_queued = true;
};

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
  if (waiting_.load() == 0 && try_enter()) {
    exchange.admitted = exchange.home().now();
    return Answer::start;
  }
  if (!line_up(exchange)) return Answer::refuse;
  hand_out();  // somebody may have left just before it stood in line
  return Answer::wait;
}

bool Admission::try_enter() {
  auto const most = limit_.load(std::memory_order_relaxed);
  // In one order with waiting_, so that of one who lines up and one who leaves, one sees the other.
  auto now = in_flight_.load();
  while (now < most)
    if (in_flight_.compare_exchange_weak(now, now + 1)) return true;
  return false;
}

bool Admission::line_up(Exchange& exchange) {
  if (options_.queue_requests == 0) return false;
  auto one = std::make_unique<Waiting>();
  one->admission = this;
  one->exchange = &exchange;
  one->home = &exchange.home();
  one->open = [](net::Letter& letter) {
    auto& mine = static_cast<Waiting&>(letter);
    mine.admission->begin(mine);
  };
  one->patience.one = one.get();
  one->patience.fire = [](net::WheelEntry& entry, base::Time) {
    auto& mine = *static_cast<Waiting::Patience&>(entry).one;
    mine.admission->give_up(mine);
  };
  auto& home = exchange.home();
  std::lock_guard const guard(lock_);
  if (waiting_.load() >= options_.queue_requests) return false;
  home.wheel().arm(one->patience, home.now() + options_.queue_timeout);
  home.counters().requests_waited.add();
  exchange.waiting = one.get();
  exchange.hold_back();
  one->previous = last_;
  (last_ ? last_->next : first_) = one.get();
  last_ = one.release();
  waiting_.fetch_add(1);
  return true;
}

void Admission::take_out(Waiting& one) {
  (one.previous ? one.previous->next : first_) = one.next;
  (one.next ? one.next->previous : last_) = one.previous;
  one.is_queued = false;
  waiting_.fetch_sub(1);
}

// Any loop.
void Admission::hand_out() {
  std::lock_guard const guard(lock_);
  while (first_ && try_enter()) {
    auto& one = *first_;
    take_out(one);
    one.home->deliver(one);
  }
}

void Admission::give_back() {
  in_flight_.fetch_sub(1);
  // Who lines up looks for a free place afterwards, so that one of the two sees the other.
  if (waiting_.load() != 0) hand_out();
}

// ----------------------------------------------------------------------------------------------
// the three ends of waiting, on the home loop

void Admission::begin(Waiting& one) {
  std::unique_ptr<Waiting> const mine(&one);
  one.home->wheel().disarm(one.patience);
  if (!one.exchange) {
    give_back();
    return;
  }
  auto& exchange = *one.exchange;
  exchange.waiting = nullptr;
  exchange.admitted = one.home->now();
  exchange.hand_over();
  start_(exchange);
}

void Admission::give_up(Waiting& one) {
  {
    std::lock_guard const guard(lock_);
    if (!one.is_queued) return;  // its turn has come: the letter is under way
    take_out(one);
  }
  std::unique_ptr<Waiting> const mine(&one);
  auto& exchange = *one.exchange;
  exchange.waiting = nullptr;
  exchange.hand_over();
  one.home->counters().requests_waited_in_vain.add();
  refuse_(exchange);
}

void Admission::withdraw(Waiting& one) {
  one.home->wheel().disarm(one.patience);
  std::lock_guard const guard(lock_);
  if (!one.is_queued) {
    one.exchange = nullptr;
    return;
  }
  take_out(one);
  delete &one;
}

// ----------------------------------------------------------------------------------------------

void Admission::leave(Exchange& exchange) {
  if (exchange.waiting) {
    withdraw(*static_cast<Waiting*>(std::exchange(exchange.waiting, nullptr)));
  } else if (exchange.admitted != 0) {
    if (adaptive_) learn_from(exchange);
    give_back();
  }
}

void Admission::learn_from(const Exchange& exchange) {
  std::unique_lock const guard(learning_, std::try_to_lock);
  if (!guard) return;  // a sample less
  adaptive_->sample(net::Reactor::clock() - exchange.admitted, in_flight_.load());
  limit_.store(adaptive_->limit(), std::memory_order_relaxed);
}

}  // namespace millrace::server
