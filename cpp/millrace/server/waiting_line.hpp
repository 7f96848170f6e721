// Requests that wait for their turn with their bodies unread.
#pragma once
#include <atomic>
#include <cstddef>
#include <mutex>

#include "millrace/conn/exchange.hpp"

namespace millrace::server {

// First come, first served, over all loops. A client that leaves meanwhile is forgotten.
class WaitingLine {
 public:
  // What they wait for.
  class Places {
   public:
    // Any thread, the line's lock held: gives a place to the first in line. False: there is none.
    virtual bool take_place() = 0;
    // Home loop, as what follows: the client had left by then.
    virtual void return_place() = 0;
    virtual void on_turn(conn::Exchange& exchange) = 0;
    virtual void on_patience_end(conn::Exchange& exchange) = 0;

   protected:
    ~Places() = default;
  };
  struct Terms {
    std::size_t most = 0;  // that stand in line
    base::Duration patience = 0;
    trace::Counter trace::LoopCounters::*counter = nullptr;  // of all that have stood there
  };

  explicit WaitingLine(Places& places) : places_(places) {}
  WaitingLine(const WaitingLine&) = delete;
  WaitingLine& operator=(const WaitingLine&) = delete;

  // Home loop. False: the line is full. Call advance() afterwards, as a place may have become free
  // just before.
  bool join(conn::Exchange& exchange, const Terms& terms);
  // Home loop: the exchange is over, and waits for nothing any more, if it did.
  static void leave(conn::Exchange& exchange);
  // Gives places to those who wait. Any thread, whenever one has become free.
  void advance();
  // Any thread. In one order with whatever counts the places, so that of one who lines up and one
  // who leaves, one sees the other.
  std::size_t size() const { return size_.load(); }

 private:
  struct Waiting;
  void take_out(Waiting& one);  // lock held
  void begin(Waiting& one);
  void give_up(Waiting& one);
  void withdraw(Waiting& one);

  Places& places_;
  std::atomic<std::size_t> size_{0};
  std::mutex lock_;  // of the links
  Waiting *first_ = nullptr, *last_ = nullptr;
};

}  // namespace millrace::server
