// Work sent to a loop from another thread without allocating.
#pragma once
#include "millrace/base/time.hpp"

namespace millrace::net {

class Reactor;

// Embed it in what travels; the sender's side must not touch it until it has been opened.
struct Letter {
  Letter* next_letter = nullptr;
  void (*open)(Letter& letter) = nullptr;  // on the receiving loop's thread
};

// Letters that a thread holds back until its batch is done, so that the receiver is woken once. One
// per thread. Letters to a second receiver go out at once. A thread that ends while it holds
// letters loses them: release() before.
class Outbox {
 public:
  // How long a letter may be held while the batch goes on, or one slow handler delays the answers
  // before it. Short against what people notice, long against a wake-up (about 5 us).
  static constexpr base::Duration held_at_most = base::microseconds(100);

  static Outbox& mine();
  void hold() { holding_ = true; }
  bool is_holding() const { return holding_; }
  // Sends what was held and holds no more.
  void release();
  // Sends what was held and goes on holding. For the middle of a long batch.
  void flush();
  // As flush(), if the oldest letter has been held for longer than held_at_most.
  void flush_if_late(base::Time now) {
    if (newest_ && now - held_since_ > held_at_most) flush();
  }
  bool empty() const { return newest_ == nullptr; }
  // Takes the letter if it is held back; false: deliver it yourself.
  bool take(Reactor& to, Letter& letter);

 private:
  Reactor* to_ = nullptr;
  Letter* newest_ = nullptr;
  Letter* oldest_ = nullptr;
  base::Time held_since_ = 0;
  bool holding_ = false;
};

}  // namespace millrace::net
