// Messages in a stream of bytes: lines, or a length before each.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "millrace/base/byte_chain.hpp"
#include "millrace/base/error.hpp"

namespace millrace::framing {

enum class Kind : std::uint8_t {
  none,             // no messages: whatever one read brings
  lines,            // ends with LF; a CR before it belongs to the end too
  length_prefixed,  // a big-endian length, then so many bytes
};

// How messages are told apart. Both sides of a connection use the same.
struct Framing {
  Kind kind = Kind::none;
  // Bytes of a message without its frame; a longer one ends the connection. It is what a peer can
  // make us hold, per connection.
  std::size_t max_bytes = 64 * 1024;
  // Of the length: 1, 2, 4 or 8.
  std::uint8_t prefix_bytes = 4;
};

// Errc::invalid_option: a length of 3 bytes, a limit of 0 or above what the length can say.
base::Status check(const Framing& framing);

// Cuts one direction of a stream into messages. No I/O. One owner at a time.
class Splitter {
 public:
  // check() has accepted it.
  explicit Splitter(const Framing& framing) : framing_(framing) {}

  // Takes the next message from the front of `bytes`; nothing: all of them were taken, and more are
  // needed. The view lives until the next call, and no longer than what `bytes` view.
  // Errc::message_too_large is final.
  base::Result<std::optional<base::ByteView>> next(base::ByteView& bytes);
  // The stream is at its end. Errc::incomplete_message inside a message.
  base::Status end() const;
  // Copied so far, since their message did not come in one piece.
  std::uint64_t copied_bytes() const { return copied_; }

 private:
  base::Result<std::optional<base::ByteView>> next_line(base::ByteView& bytes);
  base::Result<std::optional<base::ByteView>> next_prefixed(base::ByteView& bytes);
  void hold(base::ByteView& bytes, std::size_t count);

  Framing framing_;
  std::string held_;      // the front of a message whose rest is still to come
  bool is_told_ = false;  // what is held was the last message
  std::uint64_t copied_ = 0;
};

// Errc::invalid_message: it is longer than the limit, or a line with a line end in it.
base::Status check(const Framing& framing, base::ByteView message);
// Puts a message's frame around it, at the end of `out`; nothing where check() refuses it.
base::Status append(const Framing& framing, base::Bytes message, base::ByteChain& out);

}  // namespace millrace::framing
