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

constexpr std::size_t word = 64;
// Of the bytes up to this one a line has its CR and LF and perhaps a tab, so few are looked at.
constexpr char last_special = '\r';

#ifdef __SSE2__

constexpr std::size_t lane = 16;

// Bit i says that byte i is special. Inlined by force: called four times per word, and the compiler
// would rather not.
[[gnu::always_inline]] inline std::uint64_t specials_of_lane(const char* p) {
  auto const bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  auto const least = _mm_min_epu8(bytes, _mm_set1_epi8(last_special));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(least, bytes)));
}

std::uint64_t specials(const char* p, std::size_t n) {
  if (n == word)
    return specials_of_lane(p) | specials_of_lane(p + lane) << 16 |
           specials_of_lane(p + 2 * lane) << 32 | specials_of_lane(p + 3 * lane) << 48;
  std::uint64_t found = 0;
  std::size_t i = 0;
  for (; i + lane <= n; i += lane) found |= specials_of_lane(p + i) << i;
  if (i == n) return found;
  // The last lane overlaps the one before, or is filled up.
  if (n >= lane) return found | specials_of_lane(p + n - lane) >> (lane - (n - i)) << i;
  std::array<char, lane> few{};
  std::memcpy(few.data(), p, n);
  return specials_of_lane(few.data()) & ((std::uint64_t{1} << n) - 1);
}

#else

std::uint64_t specials(const char* p, std::size_t n) {
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (static_cast<unsigned char>(p[i]) <= last_special) found |= std::uint64_t{1} << i;
  return found;
}

#endif

constexpr std::size_t in_an_earlier_piece = base::ByteView::npos;

}  // namespace

LineScan::Outcome LineScan::operator()(base::ByteView bytes) {
  if (bytes.empty()) return {};
  std::size_t line = line_is_empty_ ? 0 : in_an_earlier_piece;  // where the line begins
  if (carriage_return_before_) {
    if (bytes.front() != '\n') return {Found::bad_line_end, 0};
    if (line_is_empty_) return {Found::end, 1};
    carriage_return_before_ = false;
    line = 1;
  }
  for (std::size_t begin = 0; begin < bytes.size(); begin += word) {
    auto found = specials(bytes.data() + begin, std::min(bytes.size() - begin, word));
    if (line == begin + 1) found &= ~std::uint64_t{1};  // the LF of a pair that two words share
    while (found != 0) {
      auto const bit = found & (~found + 1);
      auto const at = begin + static_cast<std::size_t>(std::countr_zero(found));
      found ^= bit;
      if (bytes[at] != '\r') {
        if (bytes[at] == '\n') return {Found::bad_line_end, at};
        if (bytes[at] == '\0') return {Found::nul, at};
        continue;
      }
      bool const is_empty = line == at;
      if (at + 1 == bytes.size()) {
        carriage_return_before_ = true;
        line_is_empty_ = is_empty;
        return {};
      }
      if (bytes[at + 1] != '\n') return {Found::bad_line_end, at + 1};
      if (is_empty) return {Found::end, at + 2};
      found &= ~(bit << 1);
      line = at + 2;
    }
  }
  line_is_empty_ = line == bytes.size();
  return {};
}

}  // namespace millrace::http1
