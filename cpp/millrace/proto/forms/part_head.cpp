#include "millrace/proto/forms/part_head.hpp"

#include <algorithm>

#include "millrace/base/bytes.hpp"
#include "millrace/proto/forms/parameters.hpp"
#include "millrace/proto/http/fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::forms {
namespace {

using base::ByteView;
using base::Errc;
using base::Error;
using http::equals_ignoring_case;

Error malformed(std::string detail) {
  return {Errc::malformed_message, "RFC 7578 4.2", std::move(detail)};
}

base::Status read_disposition(ByteView value, PartHead& head, const FormLimits& limits) {
  auto const end = std::min(value.find(';'), value.size());
  auto const parameters = read_parameters(value.substr(end), Quoting::form);
  auto name = parameters ? find(*parameters, "name") : std::nullopt;
  if (!equals_ignoring_case(http::trimmed(value.substr(0, end)), "form-data") || !name)
    return malformed("a part's Content-Disposition is not form-data with a name");
  head.name = std::move(*name);
  head.filename = find(*parameters, "filename");
  if (head.name.size() > limits.name_bytes || head.filename.value_or("").size() > limits.name_bytes)
    return past_limit("name_bytes", limits.name_bytes);
  return {};
}

base::Status read_encoding(ByteView value) {
  for (ByteView const plain : {"binary", "8bit", "7bit"})
    if (equals_ignoring_case(value, plain)) return {};
  return base::failure(Errc::unsupported_media_type, "RFC 7578 4.7",
                       "a part has the Content-Transfer-Encoding '" + std::string(value) + "'");
}

base::Status read_line(ByteView line, PartHead& head) {
  auto const colon = std::min(line.find(':'), line.size());
  auto const name = line.substr(0, colon);
  auto const value = http::trimmed(line.substr(std::min(colon + 1, line.size())));
  if (colon == line.size() || !http::is_token(name) || !http::is_field_value(value))
    return malformed("a part's head has a malformed line");
  head.lines.emplace_back(name, value);
  return {};
}

base::Status read_lines(ByteView text, PartHead& head) {
  while (!text.empty()) {
    auto const end = text.find("\r\n");
    if (auto status = read_line(text.substr(0, end), head); !status) return status;
    text.remove_prefix(end + 2);
  }
  return {};
}

base::Status understand(PartHead& head, const FormLimits& limits) {
  bool has_disposition = false;
  for (auto const& [name, value] : head.lines) {
    base::Status status;
    if (equals_ignoring_case(name, "content-disposition")) {
      if (std::exchange(has_disposition, true))
        return malformed("a part has two Content-Disposition lines");
      status = read_disposition(value, head, limits);
    } else if (equals_ignoring_case(name, "content-transfer-encoding")) {
      status = read_encoding(value);
    } else if (equals_ignoring_case(name, "content-type")) {
      head.content_type = value;
    }
    if (!status) return status;
  }
  if (!has_disposition) return malformed("a part has no Content-Disposition");
  return {};
}

}  // namespace

base::Result<PartHead> read_part_head(ByteView text, const FormLimits& limits) {
  PartHead head;
  auto status = read_lines(text, head);
  if (status) status = understand(head, limits);
  if (!status) return status;
  return head;
}

Error past_limit(std::string_view limit, std::uint64_t value) {
  return {
      Errc::body_too_large, {}, "FormLimits." + std::string(limit) + "=" + std::to_string(value)};
}

}  // namespace millrace::forms
