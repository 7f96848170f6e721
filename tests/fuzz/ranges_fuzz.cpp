// What a request says about ranges, conditions, codings and paths, in arbitrary bytes.
//
// An input is two bytes for the length of a representation (as a power of two, and what is added to
// it) and then the value of a field, or a path. A broken promise aborts.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "millrace/proto/http/accept_encoding.hpp"
#include "millrace/proto/http/conditional.hpp"
#include "millrace/proto/http/date.hpp"
#include "millrace/proto/http/file_path.hpp"
#include "millrace/proto/http/media_type.hpp"
#include "millrace/proto/http/ranges.hpp"

namespace {

using namespace millrace;
using base::ByteView;
using http::Selection;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

http::Head head_with(std::initializer_list<ByteView> names, ByteView value) {
  http::HeadBlockPtr block(http::HeadPool::take());
  block->method = http::Method::get;
  auto const add = [&](ByteView text) {
    auto const at = static_cast<std::uint32_t>(block->bytes.size());
    block->bytes.append(text);
    return http::Span{at, static_cast<std::uint32_t>(text.size())};
  };
  for (auto const name : names) {
    auto const said = add(name);
    block->fields.push_back({said, add(value), http::identify(name)});
  }
  return http::Head(std::move(block));
}

void look_at_ranges(ByteView field, std::uint64_t size) {
  auto const selection = http::select_ranges(field, size);
  auto ranges = selection.ranges;
  require(ranges.empty() == (selection.kind != Selection::Kind::parts), "only parts have ranges");
  require(ranges.size() <= http::ranges_most, "ranges are limited in number");
  std::ranges::sort(ranges, {}, &http::ByteRange::first);
  std::uint64_t end = 0;
  for (auto const& range : ranges) {
    require(range.length > 0 && range.length <= size, "a range is not empty");
    require(range.first <= size - range.length, "a range ends with the representation");
    require(&range == ranges.data() || range.first >= end + http::range_gap_bytes,
            "ranges that are close are one");
    end = range.first + range.length;
    require(!http::content_range(range, size).empty(), "a range has a name");
  }
}

void look_at_conditions(ByteView value) {
  http::Validators const ours{http::EntityTag{"abc", false}, 784'111'777};
  constexpr std::int64_t now = 1'800'000'000;
  for (ByteView const name : {"if-match", "if-none-match"}) {
    auto const head = head_with({name}, value);
    auto const twice = head_with({name, name}, value);
    require(http::evaluate(head, ours, now) == http::evaluate(twice, ours, now),
            "a list that is said twice says the same");
  }
  for (ByteView const name : {"if-modified-since", "if-unmodified-since"})
    require(http::evaluate(head_with({name, name}, value), ours, now) == http::Precondition::holds,
            "two dates are no date");
  auto const head = head_with({"if-range"}, value);
  if (http::range_counts(head, ours, now))
    require(value == "\"abc\"" || http::read_date(value, now) == ours.last_modified,
            "If-Range names exactly what we have");
  if (auto const date = http::read_date(value, now)) {
    bool const is_usual = value.size() == http::date_bytes && value[3] == ',';
    if (is_usual && *date >= 0 && *date % 60 != 0)
      require(http::date_text(*date).substr(5) == value.substr(5) || value.substr(23, 2) == "60",
              "a date comes back as it was");
  }
}

void look_at_codings(ByteView value) {
  static constexpr std::array<ByteView, 3> codings{"br", "zstd", "gzip"};
  auto const head = head_with({"accept-encoding"}, value);
  auto const chosen = http::choose_coding(head, codings);
  if (!chosen) return;
  auto const weight = http::weight_of(head, codings[*chosen]);
  require(weight && *weight > 0 && *weight <= 1000, "what is chosen is wanted");
  for (auto const coding : codings)
    require(http::weight_of(head, coding).value_or(0) <= *weight, "and nothing is wanted more");
}

void look_at_path(ByteView path) {
  require(http::media_type_of(path).find('/') != ByteView::npos, "every name has a type");
  if (!http::may_name_file(path, http::DotFiles::served)) return;
  require(path.find('\0') == ByteView::npos && path.find('\\') == ByteView::npos,
          "no path has a byte that means something else");
  require(!path.starts_with('/') && path.find("//") == ByteView::npos, "nor an empty segment");
  auto const slashed = '/' + std::string(path) + '/';
  require(slashed.find("/../") == std::string::npos && slashed.find("/./") == std::string::npos,
          "nor one that leads elsewhere");
  auto const escaped = http::escape_path(path);
  require(std::ranges::all_of(escaped, [](char c) { return c > ' ' && c <= '~' && c != '"'; }),
          "an escaped path is fit for a field");
}

}  // namespace

// As in http1_fuzz.cpp: the run's memory limit is to see growth of ours.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 2) return 0;
  auto const length = (std::uint64_t{1} << (input[0] & 63)) - 1 + input[1];
  ByteView const text(reinterpret_cast<const char*>(input) + 2, size - 2);
  look_at_ranges(text, length);
  look_at_conditions(text);
  look_at_codings(text);
  look_at_path(text);
  return 0;
}
