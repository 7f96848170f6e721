#include "millrace/proto/http/ranges.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "millrace/proto/http/fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::http {
namespace {

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

// What a range-spec says, before it meets a length.
struct Spec {
  std::optional<std::uint64_t> first;  // none: the last so many bytes
  std::uint64_t last = largest;        // or how many
};

// Digits only; what is larger than any file stays that.
std::optional<std::uint64_t> read_number(ByteView text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    auto const digit = static_cast<std::uint64_t>(c - '0');
    value = value > (largest - digit) / 10 ? largest : value * 10 + digit;
  }
  return value;
}

std::optional<Spec> read_spec(ByteView text) {
  auto const dash = text.find('-');
  if (dash == ByteView::npos) return std::nullopt;
  auto const before = text.substr(0, dash), behind = text.substr(dash + 1);
  Spec spec;
  if (!before.empty()) {
    spec.first = read_number(before);
    if (!spec.first) return std::nullopt;
    if (behind.empty()) return spec;
  }
  auto const last = read_number(behind);
  if (!last || (spec.first && *last < *spec.first)) return std::nullopt;
  spec.last = *last;
  return spec;
}

// None where nothing of the representation lies in it.
std::optional<ByteRange> meet(const Spec& spec, std::uint64_t size) {
  if (!spec.first) {
    auto const length = std::min(spec.last, size);
    return length == 0 ? std::nullopt : std::optional(ByteRange{size - length, length});
  }
  if (*spec.first >= size) return std::nullopt;
  return ByteRange{*spec.first, std::min(spec.last, size - 1) - *spec.first + 1};
}

bool are_close(const ByteRange& a, const ByteRange& b) {
  auto const& [lower, upper] = a.first <= b.first ? std::tie(a, b) : std::tie(b, a);
  return upper.first <= lower.first + lower.length ||
         upper.first - (lower.first + lower.length) < range_gap_bytes;
}

// Joins the range with all that it touches, in the place of the first of them.
void add(std::vector<ByteRange>& ranges, ByteRange range) {
  auto place = ranges.end();
  for (auto at = ranges.begin(); at != ranges.end();) {
    if (!are_close(*at, range)) {
      ++at;
      continue;
    }
    auto const end = std::max(at->first + at->length, range.first + range.length);
    range.first = std::min(at->first, range.first);
    range.length = end - range.first;
    if (place == ranges.end()) {
      place = at++;
    } else {
      at = ranges.erase(at);  // `place` lies before it and stays valid
    }
    *place = range;
  }
  if (place == ranges.end()) ranges.push_back(range);
}

}  // namespace

Selection select_ranges(ByteView field, std::uint64_t size) {
  constexpr ByteView unit = "bytes=";
  if (!equals_ignoring_case(field.substr(0, unit.size()), unit)) return {};
  field.remove_prefix(unit.size());
  Selection selection{.kind = Selection::Kind::unsatisfiable, .ranges = {}};
  std::size_t members = 0;
  bool has_any = false, asks_for_the_end = false;
  for (std::size_t at = 0; at <= field.size();) {
    auto const comma = std::min(field.find(',', at), field.size());
    auto const member = trimmed(field.substr(at, comma - at));
    at = comma + 1;
    if (++members > ranges_most) return {};
    if (member.empty()) continue;  // RFC 9110 5.6.1.2
    auto const spec = read_spec(member);
    if (!spec) return {};
    has_any = true;
    asks_for_the_end = asks_for_the_end || (!spec->first && spec->last > 0);
    if (auto const range = meet(*spec, size)) add(selection.ranges, *range);
  }
  if (!selection.ranges.empty()) {
    selection.kind = Selection::Kind::parts;
  } else if (!has_any || (size == 0 && asks_for_the_end)) {
    // The end of nothing can be had (RFC 9110 14.1.2), but no Content-Range can say so.
    selection.kind = Selection::Kind::whole;
  }
  return selection;
}

std::string content_range(const ByteRange& range, std::uint64_t size) {
  return "bytes " + std::to_string(range.first) + '-' +
         std::to_string(range.first + range.length - 1) + '/' + std::to_string(size);
}

std::string content_range_of_none(std::uint64_t size) { return "bytes */" + std::to_string(size); }

std::string part_head(ByteView boundary, ByteView media_type, const ByteRange& range,
                      std::uint64_t size, bool is_first) {
  std::string head(is_first ? "--" : "\r\n--");
  head.append(boundary).append("\r\n");
  if (!media_type.empty()) head.append("Content-Type: ").append(media_type).append("\r\n");
  return head.append("Content-Range: ").append(content_range(range, size)).append("\r\n\r\n");
}

std::string parts_end(ByteView boundary) {
  return std::string("\r\n--").append(boundary).append("--\r\n");
}

}  // namespace millrace::http
