#include "millrace/proto/http1/said_fields.hpp"

#include <limits>

namespace millrace::http1 {

using base::Status;
using http::FieldId;
using http::Fields;

bool SaidFields::connection_names(std::string_view lower_case_option) const {
  for (auto const* list : {preset_, &fields_}) {
    if (!list || !list->holds(FieldId::connection)) continue;
    for (std::size_t i = 0; i < list->size(); ++i)
      if (list->id(i) == FieldId::connection &&
          http::list_contains(list->value(i), lower_case_option))
        return true;
  }
  return false;
}

Status SaidFields::read_length(std::optional<std::uint64_t>& length) const {
  for (auto const* list : {preset_, &fields_}) {
    if (!list || !list->holds(FieldId::content_length)) continue;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (list->id(i) != FieldId::content_length) continue;
      auto const text = list->value(i);
      if (length) return invalid_field("RFC 9110 8.6", "two Content-Length fields");
      std::uint64_t value = 0;
      for (char c : text) {
        if (c < '0' || c > '9' || value > std::numeric_limits<std::int64_t>::max() / 10 - 1)
          return invalid_field("RFC 9110 8.6", "Content-Length " + std::string(text));
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
      }
      if (text.empty()) return invalid_field("RFC 9110 8.6", "empty Content-Length");
      length = value;
    }
  }
  return {};
}

Status SaidFields::check_framing() const {
  if (!holds(FieldId::transfer_encoding)) return {};
  return invalid_field("RFC 9112 6.1", "Transfer-Encoding is the codec's");
}

}  // namespace millrace::http1
