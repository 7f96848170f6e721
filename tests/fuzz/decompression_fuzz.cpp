// Content codings in arbitrary bytes: what decoders make of them, and of what encoders make.
//
// An input is one byte for the codings (two bits each, and how many), one for where the bytes are
// cut, one for the room of a step, and then coded bytes. A broken promise aborts.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "proto/coding/coded.hpp"

#include "millrace/proto/coding/content_decoder.hpp"
#include "millrace/proto/coding/encoder.hpp"

namespace {

using namespace millrace;
using namespace millrace::coding;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// Bombs are for the limit; the other promises are looked at where there is little to decode.
constexpr DecodeLimits small{.codings = 2, .ratio = 1000, .ratio_from_bytes = 256 * 1024};

// Where the ratio is passed depends on how much input a step had seen, so a body that is refused
// for it has no other promise to keep.
void look_at_cuts(ByteView bytes, const std::vector<Coding>& codings, std::size_t every,
                  std::size_t room) {
  auto const whole = decoded({bytes}, codings, small, 64 * 1024);
  require(whole.text.size() <= small.ratio_from_bytes + 64 * 1024 ||
              whole.text.size() <= small.ratio * bytes.size() * small.ratio + 64 * 1024,
          "output is bounded by the ratio of each coding");
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += every)
    pieces.push_back(bytes.substr(at, every));
  auto const in_pieces = decoded(pieces, codings, small, room);
  bool const is_bomb =
      whole.code == base::Errc::body_too_large || in_pieces.code == base::Errc::body_too_large;
  if (is_bomb) return;
  require(whole.is_good() == in_pieces.is_good(), "a cut changes nothing about what is right");
  require(!whole.is_good() || whole.text == in_pieces.text, "nor about what it stands for");
}

void look_at_ratio(ByteView bytes, Coding coding) {
  constexpr std::size_t from = 4096, room = 1024;
  DecodeLimits const strict{.codings = 1, .ratio = 2, .ratio_from_bytes = from};
  auto const got = decoded({bytes}, {coding}, strict, room);
  require(got.text.size() <= std::max(from, strict.ratio * bytes.size()) + room,
          "never more than the ratio allows, and one step");
}

void look_at_round_trip(ByteView text, Coding coding, int level, std::size_t every) {
  auto const range = levels_of(coding);
  // The highest levels of br take their time, and the path is the same from 5 on but for the last.
  auto const most = coding == Coding::br ? 6 : range.most;
  level = range.least + level % (most - range.least + 1);
  EncoderPtr const encoder(EncoderPool::take({coding, level}));
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += every)
    encoder->encode(text.substr(at, every), at % 2 ? Flush::piece : Flush::none, out);
  encoder->encode({}, Flush::end, out);
  auto const back = decoded({out}, {coding}, no_limits(), 4096);
  require(back.is_good() && back.text == text, "what is encoded comes back");
}

}  // namespace

// As in http1_fuzz.cpp: the run's memory limit is to see growth of ours.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 3) return 0;
  auto const first = static_cast<Coding>(input[0] & 3);
  std::vector<Coding> codings{first};
  if (input[0] & 16) codings.push_back(static_cast<Coding>(input[0] >> 2 & 3));
  ByteView const bytes(reinterpret_cast<const char*>(input) + 3, size - 3);
  auto const every = std::size_t{input[1]} + 1;
  look_at_cuts(bytes, codings, every, std::size_t{input[2]} * 16 + 1);
  look_at_ratio(bytes, first);
  look_at_round_trip(bytes, first, input[2], every);
  return 0;
}
