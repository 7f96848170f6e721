// The seam every protocol plugs into, for both sides.
#pragma once
#include <cstdint>
#include <optional>

#include "millrace/base/byte_chain.hpp"
#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/proto/http/message.hpp"

namespace millrace::proto {

enum class Side : std::uint8_t { server, client };

// What becomes of the connection once the output has been written.
enum class Afterwards : std::uint8_t {
  go_on,
  close,            // nothing more will come or go
  close_lingering,  // the peer may still be sending: end our side, swallow the rest for a while,
                    // then close
  hand_over,  // another protocol takes the stream; bytes that receive() did not consume are its
              // first
};

// One side of one connection as a pure state machine: bytes and time in, events and bytes out.
// It holds no socket, thread, clock or lock. After every call that changes state the owner drains
// next_event(), then take_output(), then re-arms its timer from deadline(). One owner at a time.
class Codec {
 public:
  virtual ~Codec() = default;

  // Bytes from the peer; returns how many were consumed. Fewer than all means: not now (a body
  // without credit, a pipelined request behind one that is being answered), or never (hand_over).
  // The owner keeps the rest, reads no more, and offers it again after its next send(). An error is
  // final, but take_output() may still hold a goodbye to send.
  virtual base::Result<std::size_t> receive(base::ByteView bytes, base::Time now) = 0;
  virtual base::Status receive_eof(base::Time now) = 0;

  // What the application says. An error concerns the stream; afterwards() says what becomes of the
  // connection.
  virtual base::Status send(http::StreamId stream, http::Part&& part, base::Time now) = 0;

  virtual std::optional<http::Event> next_event() = 0;
  // Moves output to `out`; returns the number of bytes.
  virtual std::size_t take_output(base::ByteChain& out) = 0;
  // Whether output that was taken waits for the peer to make room; told when that changes.
  // Meanwhile the connection is not idle.
  virtual void output_waits(bool waits, base::Time now) = 0;

  // When tick() wants to be called; far in the future rather than nothing.
  virtual base::Time deadline() const = 0;
  virtual base::Status tick(base::Time now) = 0;
  virtual Afterwards afterwards() const = 0;
};

}  // namespace millrace::proto
