// All the codings of one body, undone within limits.
#pragma once
#include <string>
#include <vector>

#include "millrace/proto/coding/decoder.hpp"

namespace millrace::coding {

struct DecodeLimits {
  // Codings one body may have ("gzip, br" are two). More than one has no use, and multiplies what
  // little input can become.
  std::size_t codings = 1;
  // Bytes that one byte may become. Text becomes 3 to 20; 1,000 is what gzip makes of zeros.
  std::size_t ratio = 100;
  // Bytes of output from which on that counts: less hurts nobody, and a short text of one letter is
  // no attack.
  std::size_t ratio_from_bytes = 1024 * 1024;
};

// Memory: the windows of its codings (32 kB gzip and deflate, at most 8 MB zstd and 16 MB br, as
// far as they have been filled), and 16 kB between each two. One owner at a time.
class ContentDecoder {
 public:
  // `codings` in the order they were applied, as in Content-Encoding (RFC 9110 8.4).
  ContentDecoder(const std::vector<Coding>& codings, const DecodeLimits& limits);

  // As Decoder::decode. Errc::body_too_large where the ratio is above its limit.
  base::Result<Step> decode(ByteView input, std::span<char> room);
  // As Decoder::end.
  base::Status end();

 private:
  static constexpr std::size_t between_bytes = 16 * 1024;
  struct Stage {
    DecoderPtr decoder;
    std::string between;  // what the stage before has made
    ByteView waiting;     // and this one has not taken
    std::uint64_t taken = 0, made = 0;
  };
  base::Result<std::size_t> fill(std::size_t stage, ByteView& input, std::span<char> room);
  base::Result<Step> step(Stage& stage, ByteView input, std::span<char> room) const;

  DecodeLimits limits_;
  std::vector<Stage> stages_;  // the first decodes what came
};

}  // namespace millrace::coding
