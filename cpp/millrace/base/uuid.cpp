#include "millrace/base/uuid.hpp"

#include <string_view>

namespace millrace::base {
namespace {

void append_hex(std::string& text, std::uint64_t bits, int digits) {
  constexpr std::string_view hex = "0123456789abcdef";
  while (digits-- > 0) text += hex[bits >> (4 * digits) & 15];
}

}  // namespace

std::string uuid_v7(std::uint64_t unix_ms, std::uint64_t random_a, std::uint64_t random_b) {
  constexpr std::uint64_t version = 7, variant = 0b10;
  std::uint64_t const last = variant << 62 | (random_b & ((1ULL << 62) - 1));
  std::string text;
  text.reserve(36);
  append_hex(text, unix_ms >> 16, 8);
  text += '-';
  append_hex(text, unix_ms, 4);
  text += '-';
  append_hex(text, version << 12 | (random_a & 0xfff), 4);
  text += '-';
  append_hex(text, last >> 48, 4);
  text += '-';
  append_hex(text, last, 12);
  return text;
}

}  // namespace millrace::base
