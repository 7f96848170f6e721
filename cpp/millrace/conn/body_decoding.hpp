// A request body that comes in a coding, on its way to a reader who knows nothing of that.
#pragma once
#include <vector>

#include "millrace/conn/body_reader.hpp"
#include "millrace/proto/coding/content_decoder.hpp"

namespace millrace::conn {

// Decodes as its reader reads: what waits is coded, bounded by the credit that was granted for it.
// Home loop only.
class BodyDecoding {
 public:
  BodyDecoding(const std::vector<coding::Coding>& codings, const coding::DecodeLimits& limits)
      : decoder_(codings, limits) {}

  void put(base::Bytes coded);
  void end(http::Fields trailers);
  // Decodes into `body` until more than `most` bytes lie there unread (by one step at most),
  // nothing is left, or the body is whole. An error is final: what comes then is dropped.
  base::Status advance(BodyReader& body, std::size_t most);
  // Coded bytes decoded since the last call: the codec may receive as many again.
  std::size_t take_credit_due();

 private:
  // Decoded at a time, which is also what a piece has at most.
  static constexpr std::size_t step_bytes = 16 * 1024;

  coding::ContentDecoder decoder_;
  std::vector<base::Bytes> coded_;
  std::size_t next_ = 0;  // of coded_
  std::size_t unread_ = 0, credit_due_ = 0;
  http::Fields trailers_;
  bool input_ended_ = false, is_over_ = false;
};

}  // namespace millrace::conn
