// The chunked transfer coding, decoded strictly (RFC 9112 7.1). llhttp's own decoder lets malformed
// extensions and line ends pass.
#pragma once
#include <cstddef>
#include <cstdint>

#include "millrace/proto/http/head.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http1/rules.hpp"
#include "millrace/proto/http1/scan.hpp"

namespace millrace::http1 {

// One body. Holds no data: what it decodes is a view of what it was fed. One owner at a time.
class ChunkedReader {
 public:
  struct Outcome {
    std::size_t consumed = 0;
    base::ByteView data{};  // lies at the end of the consumed bytes
    Breach breach{};
  };

  // Reads until there is data, the body is over or the bytes are. Gives no more than `most_data`
  // bytes of data; framing is read whether or not there is room for data.
  Outcome feed(base::ByteView bytes, std::size_t most_data, const http::Limits& limits);
  bool is_done() const { return state_ == State::done; }
  // Of a body that is done.
  http::Fields take_trailers();

 private:
  enum class State : std::uint8_t {
    size,  // in the order of the grammar of a chunk line
    before_semicolon,
    before_name,
    name,
    behind_name,
    before_value,
    value,
    quoted,
    quoted_pair,
    behind_quoted,
    line_feed,
    data,
    data_carriage_return,
    data_line_feed,
    trailers,
    done,
  };

  Breach read_line_byte(char c);
  Rule read_size_byte(char c);
  Rule read_extension_byte(char c);
  State behind_line() const { return remaining_ > 0 ? State::data : State::trailers; }
  Outcome read_trailers(base::ByteView bytes, std::size_t consumed, const http::Limits& limits);

  std::uint64_t remaining_ = 0;  // of the chunk that is being read
  http::HeadBlockPtr section_;  // the trailer section, while it is being read and until it is taken
  std::uint32_t line_bytes_ = 0;
  LineScan scan_ = LineScan::behind_a_line();
  State state_ = State::size;
  bool has_digits_ = false;
};

// Fields that may not come behind a body: framing, routing, credentials and what describes the
// body's form (RFC 9110 6.5.1). Both for what is received and for what is sent.
bool is_forbidden_trailer(base::ByteView name);

}  // namespace millrace::http1
