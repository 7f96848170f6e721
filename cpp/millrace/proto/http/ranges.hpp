// Which bytes of a representation a Range field asks for (RFC 9110 14).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"

namespace millrace::http {

// Ranges of one request; a field with more is ignored, and the whole is sent (RFC 9110 14.2).
// Readers of documents ask for some ten at a time.
constexpr std::size_t ranges_most = 32;
// Ranges that lie this close together are sent as one: about what the head of another part takes.
constexpr std::uint64_t range_gap_bytes = 80;

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t length = 0;

  bool operator==(const ByteRange&) const = default;
};

struct Selection {
  enum class Kind : std::uint8_t {
    whole,          // the field is to be ignored: 200
    parts,          // 206
    unsatisfiable,  // 416
  };
  Kind kind = Kind::whole;
  // Of parts: not empty, none beyond the end, no two that overlap; in the order they were asked
  // for, each where the first of those that were joined stood (RFC 9110 15.3.7.2).
  std::vector<ByteRange> ranges;
};

// `size`: the representation's length.
Selection select_ranges(base::ByteView field, std::uint64_t size);

// "bytes 0-9/100", and "bytes */100" for what cannot be satisfied (RFC 9110 14.4).
std::string content_range(const ByteRange& range, std::uint64_t size);
std::string content_range_of_none(std::uint64_t size);

// What stands before each part of a multipart/byteranges body, and behind the last (RFC 9110 14.6).
std::string part_head(base::ByteView boundary, base::ByteView media_type, const ByteRange& range,
                      std::uint64_t size, bool is_first);
std::string parts_end(base::ByteView boundary);

}  // namespace millrace::http
