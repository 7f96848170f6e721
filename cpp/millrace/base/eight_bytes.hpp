// Eight bytes of a text looked at together.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace millrace::base {

// What is asked is answered by marks, the highest bit of each byte that is so. Each subtraction
// borrows only from bytes above one that is marked, so "none" and the first mark can be relied on;
// marks behind the first cannot.
class EightBytes {
 public:
  using Marks = std::uint64_t;

  explicit EightBytes(const char* at) { std::memcpy(&bytes_, at, sizeof bytes_); }

  Marks equal_to(unsigned char byte) const { return below(bytes_ ^ in_every(byte), 1); }
  Marks below(unsigned char limit) const { return below(bytes_, limit); }  // limit: 128 at most
  Marks beyond_ascii() const { return bytes_ & highest; }

  // 8: none is marked.
  static std::size_t first(Marks marks) {
    static_assert(std::endian::native == std::endian::little);
    return static_cast<std::size_t>(std::countr_zero(marks)) / 8;
  }

 private:
  static constexpr std::uint64_t in_every(unsigned char byte) { return byte * 0x0101010101010101U; }
  static constexpr std::uint64_t highest = 0x8080808080808080U;
  static Marks below(std::uint64_t bytes, unsigned char limit) {
    return (bytes - in_every(limit)) & ~bytes & highest;
  }

  std::uint64_t bytes_ = 0;
};

}  // namespace millrace::base
