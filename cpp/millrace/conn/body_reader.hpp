// A request body on its way to whoever reads it, on whichever thread that is.
#pragma once
#include <atomic>
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"
#include "millrace/proto/http/fields.hpp"

namespace millrace::conn {

// Filled on the home loop, read by one reader on any thread. Holds at most the credit that was
// granted.
class BodyReader {
 public:
  // Of a body in a coding, decoded ahead of its reader. Decoding goes in small steps, so more would
  // save nothing.
  static constexpr std::size_t decoded_ahead_bytes = 128 * 1024;
  // A whole body above this gives its memory back as soon as it can: exchanges are recycled, and
  // Python's copy may live long.
  static constexpr std::size_t kept_bytes = 128 * 1024;

  struct Piece {
    base::Bytes bytes;
    bool at_end = false;   // nothing follows
    bool waiting = false;  // nothing there yet; the observer's on_body says when to look again
  };
  // Any thread, one reader. An error (client gone, malformed body, timeout) is final.
  base::Result<Piece> read();

  // Home loop.
  void reset(bool has_body);
  // Of a body that is streamed: more is an error to its reader, who gets nothing of that.
  void limit(std::size_t bytes) { limit_ = bytes; }
  bool is_too_large() const { return received_ > limit_; }
  void put(base::Bytes bytes);
  void end(http::Fields trailers);
  void fail(const base::Error& error);
  bool take_wants_notice();  // true once after a read() that had to wait
  std::size_t
  take_credit_due();  // bytes read since the last call: the codec may receive as many again
  bool has_ended() const;
  bool has_failed() const;
  std::size_t received() const { return received_; }
  std::string take_all();  // buffered bodies, after end()
  const http::Fields& trailers() const { return trailers_; }

 private:
  mutable std::mutex lock_;  // uncontended unless body and reader live on two threads
  std::vector<base::Bytes> pieces_;
  std::size_t next_piece_ = 0;
  std::size_t credit_due_ = 0;
  std::size_t received_ = 0;  // home loop only, as the next
  std::size_t limit_ = std::numeric_limits<std::size_t>::max();
  std::optional<base::Error> error_;
  http::Fields trailers_;
  bool ended_ = true;
  bool reader_waits_ = false;
};

}  // namespace millrace::conn
