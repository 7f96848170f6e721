#include "millrace/proto/http1/scan.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace millrace::http1 {
namespace {

// Bit i speaks of byte i.
struct Masks {
  std::uint64_t carriage_return = 0;
  std::uint64_t line_feed = 0;
  std::uint64_t nul = 0;
};

constexpr std::size_t word = 64;

#ifdef __SSE2__

constexpr std::size_t lane = 16;

__m128i load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
// Inlined by force: called a dozen times per word, and the compiler would rather not.
[[gnu::always_inline]] inline std::uint64_t bits_equal(__m128i bytes, char c) {
  return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c))));
}
struct Word {
  __m128i a, b, c, d;
};
std::uint64_t bits_equal(const Word& lanes, char c) {
  return bits_equal(lanes.a, c) | bits_equal(lanes.b, c) << 16 | bits_equal(lanes.c, c) << 32 |
         bits_equal(lanes.d, c) << 48;
}

Masks masks_of_word(const char* p) {
  Word const lanes{load(p), load(p + lane), load(p + 2 * lane), load(p + 3 * lane)};
  auto const least = _mm_min_epu8(_mm_min_epu8(lanes.a, lanes.b), _mm_min_epu8(lanes.c, lanes.d));
  // A NUL is rare: where there is none, one comparison says so.
  return {bits_equal(lanes, '\r'), bits_equal(lanes, '\n'),
          bits_equal(least, '\0') == 0 ? 0 : bits_equal(lanes, '\0')};
}

// The last `n` bytes of a lane, as bytes `at` and on of the word.
[[gnu::always_inline]] inline void add_lane(Masks& masks, __m128i bytes, std::size_t n,
                                            std::size_t at) {
  masks.carriage_return |= bits_equal(bytes, '\r') >> (lane - n) << at;
  masks.line_feed |= bits_equal(bytes, '\n') >> (lane - n) << at;
  masks.nul |= bits_equal(bytes, '\0') >> (lane - n) << at;
}

Masks masks_of(const char* p, std::size_t n) {
  if (n == word) return masks_of_word(p);
  Masks masks;
  std::size_t i = 0;
  for (; i + lane <= n; i += lane) add_lane(masks, load(p + i), lane, i);
  if (i == n) return masks;
  if (n >= lane) {
    add_lane(masks, load(p + n - lane), n - i, i);
  } else {
    std::array<char, lane> few{};
    std::memcpy(few.data() + lane - n, p, n);
    add_lane(masks, load(few.data()), n, 0);
  }
  return masks;
}

#else

Masks masks_of(const char* p, std::size_t n) {
  Masks masks;
  for (std::size_t i = 0; i < n; ++i) {
    auto const bit = std::uint64_t{1} << i;
    if (p[i] == '\r') masks.carriage_return |= bit;
    if (p[i] == '\n') masks.line_feed |= bit;
    if (p[i] == '\0') masks.nul |= bit;
  }
  return masks;
}

#endif

std::size_t first(std::uint64_t mask) { return static_cast<std::size_t>(std::countr_zero(mask)); }

}  // namespace

LineScan::Outcome LineScan::operator()(base::ByteView bytes) {
  for (std::size_t done = 0; done < bytes.size(); done += word) {
    auto const n = std::min(bytes.size() - done, word);
    auto const m = masks_of(bytes.data() + done, n);
    // A pair is right where every LF follows a CR and every CR is followed by an LF.
    auto const valid = n == word ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
    auto const behind_cr = (m.carriage_return << 1 | carriage_return_before_) & valid;
    auto const bad = (m.line_feed ^ behind_cr) | m.nul;
    // Pairs being right, LF two behind LF is CR LF CR LF: an empty line.
    auto const two_before = std::uint64_t{line_feed_2_before_} | std::uint64_t{line_feed_1_before_}
                                                                     << 1;
    auto const end = m.line_feed & (m.line_feed << 2 | two_before);
    if ((bad | end) != 0) {
      auto const at = first(bad | end);
      if ((bad >> at & 1) == 0) return {Found::end, done + at + 1};
      return {
          (behind_cr >> at & 1) == 0 && (m.nul >> at & 1) != 0 ? Found::nul : Found::bad_line_end,
          done + at};
    }
    carriage_return_before_ = static_cast<std::uint8_t>(m.carriage_return >> (n - 1) & 1);
    line_feed_2_before_ =
        n > 1 ? static_cast<std::uint8_t>(m.line_feed >> (n - 2) & 1) : line_feed_1_before_;
    line_feed_1_before_ = static_cast<std::uint8_t>(m.line_feed >> (n - 1) & 1);
  }
  return {};
}

}  // namespace millrace::http1
