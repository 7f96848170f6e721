// What a loop counts about itself. Written by one thread, read by any.
#pragma once
#include <atomic>
#include <cstdint>

namespace millrace::trace {

// A counter with one writer: plain additions for it, no tearing for readers.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// One per loop.
struct LoopCounters {
  Counter waits;                        // returns from epoll_wait
  Counter events;                       // descriptors these returns named
  Counter accepts;                      // connections taken from a listening socket by this loop
  Counter accept_misses;                // woken to accept, but another loop had been faster
  Counter accept_failures;              // accept failed: descriptors or memory ran out
  Counter connections_opened;           // connections that came to live here
  Counter connections_open;             // of these, still open
  Counter connections_refused;          // turned away with 503: too many connections
  Counter connections_refused_address;  // turned away with 503: too many of one client address
  Counter connections_used_up;          // told to close: they had brought max_requests
  Counter connections_aged;             // told to close: they had reached max_age
  Counter connections_lingered;     // closed while their client was sending: the rest was swallowed
  Counter requests;                 // requests answered in full
  Counter requests_native;          // of these, answered without entering Python
  Counter requests_refused;         // 503: queue full or too many in flight
  Counter requests_waited;          // had to wait for their turn, as too many were in flight
  Counter requests_waited_in_vain;  // of these: refused, their turn not having come in time
  Counter bodies_paused;            // waited to be read, as bodies held too much memory
  Counter bodies_refused;           // 503: bodies held all the memory that they may
  Counter handlers_stuck;           // kept their thread for too long; of all, on the first loop
  Counter requests_failed;          // the handler raised, or its answer could not be sent
  Counter codings_refused;          // 415: a body's content coding is unknown, or one too many
  Counter bodies_malformed;         // 400: a body is not what its content coding makes
  Counter bodies_over_ratio;        // 413: a body became too large for what was sent of it
  Counter requests_abandoned;       // the client left before its answer
  Counter requests_denied;          // refused by a filter, but for rates: hosts, origins
  Counter requests_limited;         // 429: above a rate
  Counter forwarded_malformed;      // from trusted proxies: what they said was ignored
  Counter protocol_errors;          // messages refused
  Counter heads_too_large;          // of these: a head, target or trailer section above its limit
  Counter bodies_too_large;         // of these: a body above its limit
  Counter timeouts;                 // connections ended by a deadline, idle ones apart
  Counter header_timeouts;          // of these: the head had not come
  Counter body_timeouts;            // of these: the body had not come, or too slowly
  Counter write_timeouts;           // of these: the answer was not taken, or too slowly
  Counter idle_timeouts;            // connections without a request that were closed
  Counter outputs_held_back;        // times an answer's writer was asked to wait for a slow client
  Counter bodies_held_back;         // times a body was as far ahead of its reader as it may be
  Counter answers_compressed;       // by us
  Counter compression_bytes_in;     // what was compressed
  Counter compression_bytes_out;    // and what that became
  Counter answers_not_modified;     // 304
  Counter answers_partial;          // 206
  Counter files_opened;             // to answer requests
  Counter files_cut_short;          // became shorter while they were being sent
  Counter sendfiles;                // sendfile calls
  Counter sendfile_bytes;           // and what they sent; part of bytes_out
  Counter messages_in;              // of plain TCP and UDP: what handlers were given
  Counter messages_out;             // and what they sent
  Counter reads;                    // recv or recvmmsg calls
  Counter writes;                   // send or sendmmsg calls
  Counter partial_writes;           // send calls that took less than all
  Counter reads_blocked;            // recv calls that found nothing
  Counter writes_blocked;           // send calls that the kernel's full buffer took nothing of
  Counter bytes_copied;         // of plain TCP: held because a message or its reader was incomplete
  Counter datagrams_joined;     // of UDP: went through the kernel in groups (UDP_GRO, UDP_SEGMENT)
  Counter datagrams_too_large;  // above the limit; dropped
  Counter datagrams_dropped;    // no room for them, or for their answers, or the kernel refused
  Counter datagrams_lost;       // dropped by the kernel, whose receive buffer was full
  Counter bytes_in;
  Counter bytes_out;
  Counter wakeups;      // eventfd writes that other threads made to wake this loop, as seen by it
  Counter gil_waits;    // times the GIL was taken
  Counter gil_wait_ns;  // and how long that took, in nanoseconds
};

}  // namespace millrace::trace
