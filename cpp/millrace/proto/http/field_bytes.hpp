// Which bytes names and values may hold, sixteen at a time where the processor has SSE2.
#pragma once
#include <bit>
#include <cstdint>

#include "millrace/proto/http/fields.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace millrace::http {

#ifdef __SSE2__

inline constexpr std::size_t lane = 16;

// Offsets into a range, as a subtraction that wraps around makes them: those that do not lie above
// its last one.
inline __m128i are_within(__m128i offsets, char last) {
  return _mm_cmpeq_epi8(_mm_min_epu8(offsets, _mm_set1_epi8(last)), offsets);
}

// Bit i says that byte i is none of those that nearly all tokens are made of: letters, digits, '-'.
inline std::uint32_t unusual_in_tokens(const char* p) {
  auto const bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  auto const lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
  auto const is_letter = are_within(_mm_sub_epi8(lower, _mm_set1_epi8('a')), 'z' - 'a');
  auto const is_digit = are_within(_mm_sub_epi8(bytes, _mm_set1_epi8('0')), 9);
  auto const is_dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
  auto const usual = _mm_or_si128(_mm_or_si128(is_letter, is_digit), is_dash);
  return static_cast<std::uint32_t>(_mm_movemask_epi8(usual)) ^ 0xffff;
}

// Bit i says that byte i may not stand in a value.
inline std::uint32_t forbidden_in_values(const char* p) {
  auto const bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  auto const is_low = are_within(bytes, 0x1f);
  auto const is_tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
  auto const is_delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
  return static_cast<std::uint32_t>(
      _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(is_tab, is_low), is_delete)));
}

#endif

// RFC 9110 5.5: control bytes may not, HTAB apart.
constexpr bool is_value_byte(char c) {
  auto const byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

// How many bytes at the front of `text` belong to a token (RFC 9110 5.6.2).
inline std::size_t token_size(ByteView text) {
  std::size_t n = 0;
#ifdef __SSE2__
  for (; n + lane <= text.size(); n += lane)
    if (auto const found = unusual_in_tokens(text.data() + n); found != 0) {
      n += static_cast<std::size_t>(std::countr_zero(found));
      break;
    }
#endif
  while (n < text.size() && is_token_byte(text[n])) ++n;
  return n;
}

// How many bytes at the front of `text` may stand in a value.
inline std::size_t value_size(ByteView text) {
  std::size_t n = 0;
#ifdef __SSE2__
  for (; n + lane <= text.size(); n += lane)
    if (auto const found = forbidden_in_values(text.data() + n); found != 0)
      return n + static_cast<std::size_t>(std::countr_zero(found));
#endif
  while (n < text.size() && is_value_byte(text[n])) ++n;
  return n;
}

}  // namespace millrace::http
