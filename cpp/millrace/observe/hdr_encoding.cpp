// Histogram::encode_hdr, the format that HdrHistogram's own tools read and plot.
#include <bit>
#include <cstdint>
#include <string>

#include "millrace/observe/histogram.hpp"

namespace millrace::observe {
namespace {

// The low byte 0x13 is version 2, family 0x10; the word size it also names is unused in this
// version.
constexpr std::uint32_t cookie = 0x1c849303 | 0x10;
// Two digits give theirs 128 buckets per power of two, so that each of ours ends where one of
// theirs does.
constexpr std::uint32_t significant_digits = 2;
constexpr int their_sub_bits = 7;

std::size_t their_index(base::Duration value) {
  auto const unsigned_value = static_cast<std::uint64_t>(value);
  auto const shift =
      std::bit_width(unsigned_value | (std::uint64_t{1} << their_sub_bits)) - 1 - their_sub_bits;
  return (static_cast<std::size_t>(shift) << their_sub_bits) + (unsigned_value >> shift);
}

template <class Number>
void put_big_endian(std::string& out, Number number) {
  for (int shift = (sizeof(Number) - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(number >> shift));
}

// ZigZag, then 7 bits a byte, lowest first; the ninth byte carries 8, so that no tenth is needed.
void put_zigzag(std::string& out, std::int64_t number) {
  auto rest = (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63);
  for (int bytes = 1; rest >= 0x80 && bytes < 9; ++bytes) {
    out.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7;
  }
  out.push_back(static_cast<char>(rest));
}

}  // namespace

std::string Histogram::encode_hdr() const {
  std::string payload;
  std::size_t next = 0;  // the first of their buckets that has not been written
  for (auto const& bucket : buckets()) {
    auto const index = their_index(bucket.highest);
    // A run of empty buckets is one negative number.
    if (index > next) put_zigzag(payload, -static_cast<std::int64_t>(index - next));
    put_zigzag(payload, static_cast<std::int64_t>(bucket.count));
    next = index + 1;
  }

  std::string out;
  put_big_endian(out, cookie);
  put_big_endian(out, static_cast<std::uint32_t>(payload.size()));
  put_big_endian(out, std::uint32_t{0});  // offset by which indexes are shifted
  put_big_endian(out, significant_digits);
  put_big_endian(out, std::uint64_t{1});  // lowest value that is told from 0
  put_big_endian(out, static_cast<std::uint64_t>(Buckets::highest));
  put_big_endian(out, std::bit_cast<std::uint64_t>(1.0));  // integer to double ratio
  return out + payload;
}

}  // namespace millrace::observe
