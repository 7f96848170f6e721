#include "millrace/server/waiting_line.hpp"

#include <memory>
#include <utility>

namespace millrace::server {

using conn::Exchange;

// Lives on its exchange's home loop; only the line's links belong to the lock. Once it has been
// given a place it is a letter on its way home, and nobody else's.
struct WaitingLine::Waiting : net::Letter {
  struct Patience : net::WheelEntry {
    Waiting* one = nullptr;
  };
  WaitingLine* line = nullptr;
  Exchange* exchange = nullptr;  // null: its client left while its letter was under way
  net::Reactor* home = nullptr;
  Patience patience;
  Waiting *previous = nullptr, *next = nullptr;
  bool is_queued = true;
};

bool WaitingLine::join(Exchange& exchange, const Terms& terms) {
  if (terms.most == 0) return false;
  auto one = std::make_unique<Waiting>();
  one->line = this;
  one->exchange = &exchange;
  one->home = &exchange.home();
  one->open = [](net::Letter& letter) {
    auto& mine = static_cast<Waiting&>(letter);
    mine.line->begin(mine);
  };
  one->patience.one = one.get();
  one->patience.fire = [](net::WheelEntry& entry, base::Time) {
    auto& mine = *static_cast<Waiting::Patience&>(entry).one;
    mine.line->give_up(mine);
  };
  auto& home = exchange.home();
  std::lock_guard const guard(lock_);
  if (size_.load() >= terms.most) return false;
  home.wheel().arm(one->patience, home.now() + terms.patience);
  (home.counters().*terms.counter).add();
  exchange.waiting = one.get();
  exchange.hold_back();
  one->previous = last_;
  (last_ ? last_->next : first_) = one.get();
  last_ = one.release();
  size_.fetch_add(1);
  return true;
}

void WaitingLine::take_out(Waiting& one) {
  (one.previous ? one.previous->next : first_) = one.next;
  (one.next ? one.next->previous : last_) = one.previous;
  one.is_queued = false;
  size_.fetch_sub(1);
}

void WaitingLine::advance() {
  // Who lines up looks for a free place afterwards, so that one of the two sees the other.
  if (size_.load() == 0) return;
  std::lock_guard const guard(lock_);
  while (first_ && places_.take_place()) {
    auto& one = *first_;
    take_out(one);
    one.home->deliver(one);
  }
}

// ----------------------------------------------------------------------------------------------
// the three ends of waiting, on the home loop

void WaitingLine::begin(Waiting& one) {
  std::unique_ptr<Waiting> const mine(&one);
  one.home->wheel().disarm(one.patience);
  if (!one.exchange) {
    places_.return_place();
    return;
  }
  auto& exchange = *one.exchange;
  exchange.waiting = nullptr;
  exchange.hand_over();
  places_.on_turn(exchange);
}

void WaitingLine::give_up(Waiting& one) {
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
  places_.on_patience_end(exchange);
}

void WaitingLine::leave(Exchange& exchange) {
  if (!exchange.waiting) return;
  auto& one = *static_cast<Waiting*>(std::exchange(exchange.waiting, nullptr));
  one.line->withdraw(one);
}

void WaitingLine::withdraw(Waiting& one) {
  one.home->wheel().disarm(one.patience);
  std::lock_guard const guard(lock_);
  if (!one.is_queued) {
    one.exchange = nullptr;
    return;
  }
  take_out(one);
  delete &one;
}

}  // namespace millrace::server
