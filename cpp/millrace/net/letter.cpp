#include "millrace/net/letter.hpp"

#include <utility>

#include "millrace/net/reactor.hpp"

namespace millrace::net {

Outbox& Outbox::mine() {
  thread_local constinit Outbox outbox;
  return outbox;
}

bool Outbox::take(Reactor& to, Letter& letter) {
  if (!holding_ || (to_ && to_ != &to)) return false;
  if (!newest_) {
    to_ = &to;
    oldest_ = &letter;
    held_since_ = Reactor::clock();
  }
  letter.next_letter = std::exchange(newest_, &letter);
  return true;
}

void Outbox::release() {
  holding_ = false;
  flush();
}

void Outbox::flush() {
  if (!newest_) return;
  auto& to = *std::exchange(to_, nullptr);
  auto& newest = *std::exchange(newest_, nullptr);
  to.deliver_chain(newest, *std::exchange(oldest_, nullptr));
}

}  // namespace millrace::net
