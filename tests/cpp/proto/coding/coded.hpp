// Coded bytes for tests, and what a decoder makes of them.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "millrace/proto/coding/content_decoder.hpp"
#include "millrace/proto/coding/encoder.hpp"

namespace millrace::coding {

inline constexpr std::array all_codings{Coding::gzip, Coding::deflate, Coding::br, Coding::zstd};

inline std::string encoded(ByteView text, Coding coding, int level = 1) {
  EncoderPtr const encoder(EncoderPool::take({coding, level}));
  std::string out;
  encoder->encode(text, Flush::end, out);
  return out;
}

struct Decoded {
  std::string text;
  base::Errc code = base::Errc::count_;  // what went wrong; count_: nothing
  std::string detail;
  bool is_good() const { return code == base::Errc::count_; }
};

inline DecodeLimits no_limits() {
  return {.codings = 8, .ratio = 1'000'000'000, .ratio_from_bytes = 1'000'000'000};
}

// Offers the pieces one after the other, and takes the output in rooms of that size.
inline Decoded decoded(const std::vector<ByteView>& pieces, const std::vector<Coding>& codings,
                       const DecodeLimits& limits = no_limits(), std::size_t room_size = 1000) {
  ContentDecoder decoder(codings, limits);
  std::string room(room_size, '\0');
  Decoded all;
  auto const fail = [&](const base::Error& error) {
    all.code = error.code;
    all.detail = error.detail;
    return all;
  };
  for (auto piece : pieces)
    for (bool wants_more = false; !wants_more;) {
      auto const step = decoder.decode(piece, room);
      if (!step) return fail(step.error());
      all.text += room.substr(0, step.value().made);
      piece.remove_prefix(step.value().taken);
      wants_more = step.value().made < room.size();
    }
  if (auto const ended = decoder.end(); !ended) return fail(ended.error());
  return all;
}

inline Decoded decoded(ByteView bytes, Coding coding) {
  return decoded(std::vector{bytes}, std::vector{coding});
}

}  // namespace millrace::coding
