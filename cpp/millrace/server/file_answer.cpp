#include "millrace/server/file_answer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <span>

#include "millrace/proto/http/conditional.hpp"
#include "millrace/proto/http/date.hpp"
#include "millrace/proto/http/ranges.hpp"
#include "millrace/server/file_body.hpp"

namespace millrace::server {
namespace {

using base::ByteView;
using http::Fields;

http::ResponseHead head_with(std::uint16_t status, Fields fields) {
  return {.status = status, .preset = nullptr, .fields = std::move(fields), .content_length = {}};
}

// What describes a body that is not sent (RFC 9110 15.4.5), and what would have caches keep a
// refusal.
constexpr std::array<ByteView, 6> of_content{"content-type",     "content-encoding",
                                             "content-language", "content-length",
                                             "content-range",    "content-disposition"};
constexpr std::array<ByteView, 2> of_caches{"cache-control", "expires"};

Fields without(const Fields& fields, std::span<const ByteView> names) {
  Fields kept;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto const is_named = [&](ByteView name) {
      return http::equals_ignoring_case(fields.name(i), name);
    };
    if (std::ranges::none_of(names, is_named)) kept.add(fields.name(i), fields.value(i));
  }
  return kept;
}

FileAnswer refusal(std::uint16_t status, const Fields& fields) {
  return {head_with(status, without(without(fields, of_content), of_caches)), {}};
}

// Adds what the file itself says, where the caller has not said it. RFC 9110 8.8.2.1: no time of
// change lies in the future.
http::Validators complete(Fields& fields, const net::OpenFile& file, std::int64_t now) {
  constexpr std::int64_t second = 1'000'000'000;
  http::Validators validators;
  validators.last_modified = std::clamp<std::int64_t>(file.modified / second, 0, now);
  if (auto const said = fields.find("last-modified")) {
    validators.last_modified = http::read_date(*said, now).value_or(validators.last_modified);
  } else {
    fields.add("Last-Modified", http::date_text(validators.last_modified));
  }
  if (!fields.find("etag")) fields.add("ETag", entity_tag_of(file));
  if (!fields.find("accept-ranges")) fields.add("Accept-Ranges", "bytes");
  // Views of the fields, which stay as they are from here on.
  validators.entity_tag = http::read_entity_tag(*fields.find("etag"));
  return validators;
}

// RFC 9110 14.2: Range is for GET, and one field.
http::Selection select(const http::Head& request, const http::Validators& ours, std::uint64_t size,
                       std::int64_t now) {
  bool const is_asked =
      request.method() == http::Method::get && http::count_of(request, "range") == 1;
  if (!is_asked || !http::range_counts(request, ours, now)) return {};
  return http::select_ranges(*request.find("range"), size);
}

// Not to be foreseen, so that no file can hold what ends a part.
std::string make_boundary() {
  std::random_device source;
  std::array<char, 32> digits;
  auto* end = digits.data();
  for (int i = 0; i < 4; ++i) end = std::to_chars(end, end + 8, source(), 16).ptr;
  return {digits.data(), end};
}

base::Status append_parts(FileAnswer& answer, const net::OpenFile& file, ByteView media_type,
                          ByteView boundary, const std::vector<http::ByteRange>& ranges) {
  std::uint64_t total = 0;
  for (auto const& range : ranges) total += range.length;
  bool is_first = true;
  for (auto const& range : ranges) {
    auto const head = http::part_head(boundary, media_type, range, file.size, is_first);
    answer.body.append(ByteView(head));
    is_first = false;
    // Many small parts of a large answer would hold much memory between them, and one descriptor
    // serves all.
    if (total > bytes_read_at_once) {
      answer.body.append(file.slice(range.first, range.length));
    } else if (auto read = append_file(answer.body, file, range.first, range.length); !read) {
      return read;
    }
  }
  auto const end = http::parts_end(boundary);
  answer.body.append(ByteView(end));
  return {};
}

base::Result<FileAnswer> answer_with_parts(const net::OpenFile& file, Fields fields,
                                           const std::vector<http::ByteRange>& ranges) {
  FileAnswer answer;
  if (ranges.size() == 1) {
    auto const& range = ranges.front();
    fields.add("Content-Range", http::content_range(range, file.size));
    answer.head = head_with(206, std::move(fields));
    if (auto read = append_file(answer.body, file, range.first, range.length); !read) return read;
    return answer;
  }
  // RFC 9110 15.3.7.2: each part has the Content-Type, and the whole says what it is made of.
  std::string const media_type(fields.find(http::FieldId::content_type).value_or(ByteView{}));
  auto const boundary = make_boundary();
  fields.remove(http::FieldId::content_type);
  fields.add("Content-Type", "multipart/byteranges; boundary=" + boundary);
  answer.head = head_with(206, std::move(fields));
  if (auto read = append_parts(answer, file, media_type, boundary, ranges); !read) return read;
  return answer;
}

}  // namespace

base::Result<FileAnswer> answer_with_file(const http::Head& request, const net::OpenFile& file,
                                          Fields fields, std::int64_t now) {
  auto const ours = complete(fields, file, now);
  switch (http::evaluate(request, ours, now)) {
    case http::Precondition::not_modified:
      return FileAnswer{head_with(304, without(fields, of_content)), {}};
    case http::Precondition::fails:
      return refusal(412, fields);
    case http::Precondition::holds:
      break;
  }
  auto const selection = select(request, ours, file.size, now);
  if (selection.kind == http::Selection::Kind::parts)
    return answer_with_parts(file, std::move(fields), selection.ranges);
  if (selection.kind == http::Selection::Kind::unsatisfiable) {
    auto answer = refusal(416, fields);
    answer.head.fields.add("Content-Range", http::content_range_of_none(file.size));
    return answer;
  }
  FileAnswer answer{head_with(200, std::move(fields)), {}};
  if (request.method() == http::Method::head) {
    answer.head.content_length = file.size;
  } else if (auto read = append_file(answer.body, file, 0, file.size); !read) {
    return read;
  }
  return answer;
}

std::string entity_tag_of(const net::OpenFile& file) {
  std::string text;
  text.reserve(52);
  for (std::uint64_t const number :
       {file.size, static_cast<std::uint64_t>(file.modified), file.inode}) {
    std::array<char, 16> digits;
    auto* const end = std::to_chars(digits.begin(), digits.end(), number, 16).ptr;
    text.append(text.empty() ? "\"" : "-").append(digits.data(), end);
  }
  return text += '"';
}

}  // namespace millrace::server
