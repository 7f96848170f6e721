// A connected byte stream, and who reads it.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "millrace/base/byte_chain.hpp"
#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::net {

struct SocketOptions;

// What a stream tells its reader. `bytes` live until the call returns. After on_closed nothing more
// is called.
class ReadSink {
 public:
  // `ready`: when the wait returned; `received`: when the bytes stood in the buffer (0 if stamping
  // is off).
  virtual void on_bytes(base::ByteView bytes, base::Time ready, base::Time received) = 0;
  // The peer ended its side and all its bytes have been told. While reading is paused it is told at
  // once, although bytes may still be unread; if reading is resumed they follow, and then on_eof
  // again.
  virtual void on_eof(base::Time now) = 0;
  virtual void on_writable(base::Time now) = 0;  // a write that had not taken all may go on
  // Reset and the like, also while reading is paused. Nothing more is told; close() it.
  virtual void on_error(base::Error error, base::Time now) = 0;

 protected:
  ~ReadSink() = default;
};

// A connected stream: TCP or Unix socket, or one end of a pipe in memory. Home loop only. It closes
// itself on destruction; inside one of its own callbacks it must not be destroyed but closed and
// left to Reactor::dispose.
class Stream {
 public:
  virtual ~Stream() = default;
  // Reading begins, except where it has been paused. If the kernel cannot watch one more
  // descriptor, on_error is called before this returns.
  virtual void start(ReadSink& sink) = 0;
  // Sends what can be taken now and consumes it from the chain; where bytes remain, on_writable
  // follows, once. An error is final for writing; what the peer sent before it may still be read.
  virtual base::Status write(base::ByteChain& chain) = 0;
  // on_writable comes in a later turn, though nothing may be waiting: for a writer that lets others
  // have theirs.
  virtual void request_writable() = 0;
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  virtual void end_writing() = 0;  // FIN behind all that was written
  virtual void close() = 0;        // at once; twice is harmless
  virtual void abort() = 0;        // RST instead of FIN where the transport has it
  virtual const Endpoint& peer() const = 0;
  virtual int descriptor() const { return -1; }  // to look at; a pipe in memory has none
};

struct SocketStreamOptions {
  bool stamp_reads = false;  // read the clock after each recv, for the journey
  // Ask for quick acknowledgements again after each recv: the kernel goes back to its own choice by
  // itself (tcp(7), TCP_QUICKACK). One more system call per recv, and what it has put off is
  // acknowledged by that call.
  bool quick_acks = false;
};

// A connected, non-blocking socket; takes the descriptor over.
std::unique_ptr<Stream> make_socket_stream(Reactor& reactor, int descriptor, const Endpoint& peer,
                                           SocketStreamOptions options = {});

// Two ends of a pipe in memory on one loop: what one writes the other is told by a task of the
// loop, never from inside write(). For tests. `capacity_bytes`: how much each direction takes
// before its reader has read, so that writes go in parts.
constexpr std::size_t memory_pipe_bytes = 256 * 1024;
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_memory_pipe(
    Reactor& reactor, std::size_t capacity_bytes = memory_pipe_bytes);

// Connects without blocking; `done` is called once on the loop with the descriptor or an error
// (connection_refused, connect_timeout, ...), never before this returns. The descriptor is the
// caller's then: non-blocking, close-on-exec, its options set as far as the kernel takes them
// (read_socket_options tells). `deadline` is met as the wheel meets it.
// If the reactor ends first, `done` is destroyed without a call. Home loop only.
void connect_socket(Reactor& reactor, const Endpoint& to, base::Time deadline,
                    std::function<void(base::Result<int>)> done);
void connect_socket(Reactor& reactor, const Endpoint& to, base::Time deadline,
                    std::function<void(base::Result<int>)> done, const SocketOptions& options);

}  // namespace millrace::net
