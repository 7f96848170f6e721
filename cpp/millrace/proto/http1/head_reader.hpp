// Heads, from bytes that come in pieces to a HeadBlock whose every part was checked.
#pragma once
#include <cstddef>
#include <cstdint>

#include "millrace/proto/codec.hpp"
#include "millrace/proto/http/head.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http1/rules.hpp"
#include "millrace/proto/http1/scan.hpp"

namespace millrace::http1 {

// How the end of a body is found (RFC 9112 6.3).
enum class Framing : std::uint8_t { none, length, chunked, until_close };

// Collects one head. Line ends and limits are checked as bytes arrive and the rest when the head is
// whole; the outcome does not depend on how the bytes were cut. One owner at a time.
class HeadReader {
 public:
  struct Outcome {
    std::size_t consumed = 0;
    bool is_whole = false;
    Breach breach{};
  };

  // Appends to block.bytes; the same block until the head is whole.
  Outcome feed(base::ByteView bytes, http::HeadBlock& block, proto::Side side,
               const http::Limits& limits);

 private:
  Breach read_start_line(http::HeadBlock& block, proto::Side side, const http::Limits& limits);

  LineScan scan_;
  std::uint32_t start_line_size_ = 0;  // 0 until it was read
};

// What a whole head means. Both set the block's derived parts (target, authority, keep_alive,
// has_body, ...).
Breach interpret_request(http::HeadBlock& block, Framing& framing);
// `asked` is the method of the request that this response answers.
Breach interpret_response(http::HeadBlock& block, http::Method asked, Framing& framing);

}  // namespace millrace::http1
