// The head of a part of a multipart form (RFC 7578 4).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/proto/forms/form_limits.hpp"

namespace millrace::forms {

struct PartHead {
  std::string name;
  // As it was sent, path and all; none: the part is no file. `filename*` counts for nothing (RFC
  // 7578 4.2).
  std::optional<std::string> filename;
  std::string content_type;                                // empty: it has none
  std::vector<std::pair<std::string, std::string>> lines;  // every field, in its order
};

// `text`: its lines, each with its CR LF. A part needs a Content-Disposition of "form-data" with a
// name; a Content-Transfer-Encoding that would have to be undone is refused (RFC 7578 4.7).
base::Result<PartHead> read_part_head(std::string_view text, const FormLimits& limits);

// The error for a form that is larger than a limit of that name.
base::Error past_limit(std::string_view limit, std::uint64_t value);

}  // namespace millrace::forms
