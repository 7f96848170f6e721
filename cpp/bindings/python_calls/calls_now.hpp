// Which handler each thread is in, for whoever watches that none keeps its thread for long.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "ref.hpp"

#include "millrace/conn/exchange.hpp"
#include "millrace/net/endpoint.hpp"

namespace millrace::python {

struct Route;

// Whom a handler is called for, as a copy costs little and is read by few: a text, or the address
// of a peer, as many bytes of it as have room.
struct Subject {
  enum class Kind : std::uint8_t { text, peer };
  Kind kind = Kind::text;
  base::ByteView bytes;  // only for the call
};

// What one thread is doing. Written by it, read by any: a number that is odd while a handler has
// the thread says whether it is still the same call, so that no call reads a clock.
class ThreadCalls {
 public:
  explicit ThreadCalls(const void* engine);
  ThreadCalls(const ThreadCalls&) = delete;
  ThreadCalls& operator=(const ThreadCalls&) = delete;

  // GIL held. The handler's name lives as long as the engine.
  void begin(const std::string& handler, Subject subject);
  void end() { bump(); }
  bool is_within() const { return number_.load(std::memory_order_relaxed) % 2 != 0; }

  struct Call {
    std::uint64_t number = 0;
    unsigned long thread = 0;  // as Python's threading.get_ident()
    std::string handler;       // the pattern of its route, or "the TCP server at 127.0.0.1:80"
    std::string what;          // "GET /path", cut; empty behind its answer; "peer 127.0.0.1:5000"
  };

 private:
  friend std::vector<Call> calls_now(const void* engine);
  friend PyThreadState* state_within(const void* engine, const Call& call);
  static constexpr std::size_t words = conn::Exchange::summary_bytes / sizeof(std::uint64_t);
  void bump() {
    number_.store(number_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  bool read(Call& into) const;  // false: none, or it has just changed

  const void* engine_;
  const unsigned long thread_;
  std::atomic<std::uint64_t> number_{0};
  std::atomic<PyThreadState*> state_{nullptr};
  std::atomic<const std::string*> handler_{nullptr};
  std::array<std::atomic<std::uint64_t>, words> subject_{};
  std::atomic<std::size_t> subject_size_{0};
  std::atomic<Subject::Kind> subject_kind_{Subject::Kind::text};
};

// The calling thread belongs to the engine from now on, until it ends.
void watch_calls_of_this_thread(const void* engine);
// In the child of a fork: none of the threads exist there, and the lock may have been taken.
void forget_all_calls();
// Those of an engine's threads. Any thread; the engine's handlers are there.
std::vector<ThreadCalls::Call> calls_now(const void* engine);
// Of the thread that is still within that call, which cannot end it without the GIL; null: it has
// ended. The GIL of its interpreter held.
PyThreadState* state_within(const void* engine, const ThreadCalls::Call& call);

// A handler has the thread while it lives, or a step of its coroutine. One inside another counts
// for nothing.
class InHandler {
 public:
  InHandler(const Route& route, const conn::Exchange* exchange);
  // Of plain TCP or UDP; the name as for ThreadCalls::begin().
  InHandler(const std::string& handler, const net::Endpoint& peer);
  InHandler(const InHandler&) = delete;
  InHandler& operator=(const InHandler&) = delete;
  ~InHandler() {
    if (calls_) calls_->end();
  }

 private:
  InHandler(const std::string& handler, Subject subject);
  ThreadCalls* calls_;
};

}  // namespace millrace::python
