#include "millrace/proto/http/fields.hpp"

#include "millrace/proto/http/field_bytes.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::http {

FieldId identify(ByteView name) {
  auto const either = [name](ByteView a, FieldId is_a, ByteView b, FieldId is_b) {
    if (equals_ignoring_case(name, a)) return is_a;
    return equals_ignoring_case(name, b) ? is_b : FieldId::other;
  };
  auto const only = [name](ByteView a, FieldId is_a) {
    return equals_ignoring_case(name, a) ? is_a : FieldId::other;
  };
  using enum FieldId;
  switch (name.size()) {
    case 2:
      return only("te", te);
    case 4:
      return either("host", host, "date", date);
    case 6:
      return either("expect", expect, "server", server);
    case 7:
      return either("upgrade", upgrade, "trailer", trailer);
    case 10:
      return either("connection", connection, "keep-alive", keep_alive);
    case 12:
      return only("content-type", content_type);
    case 14:
      return only("content-length", content_length);
    case 17:
      return only("transfer-encoding", transfer_encoding);
    default:
      return other;
  }
}

bool equals_ignoring_case(ByteView a, ByteView lower_case_b) {
  if (a.size() != lower_case_b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower_case_b[i]) return false;
  return true;
}

bool is_token(ByteView text) { return !text.empty() && token_size(text) == text.size(); }

bool is_field_value(ByteView text) { return value_size(text) == text.size(); }

bool list_contains(ByteView list, ByteView lower_case_token) {
  while (!list.empty())
    if (equals_ignoring_case(take_member(list), lower_case_token)) return true;
  return false;
}

void Fields::add(ByteView name, ByteView value) {
  auto const at = static_cast<std::uint32_t>(text_.size());
  auto const name_size = static_cast<std::uint32_t>(name.size());
  auto const id = identify(name);
  entries_.push_back({.name_at = at,
                      .value_at = at + name_size + 2,
                      .name_size = name_size,
                      .value_size = static_cast<std::uint32_t>(value.size()),
                      .id = id});
  ids_ |= bit_of(id);
  text_.reserve(text_.size() + name.size() + value.size() + 4);
  text_.append(name).append(": ").append(value).append("\r\n");
}

base::Status Fields::add_checked(ByteView name, ByteView value) {
  if (!is_token(name))
    return base::failure(base::Errc::invalid_field, "RFC 9110 5.1",
                         "field name '" + std::string(name) + "'");
  if (!is_field_value(value))
    return base::failure(base::Errc::invalid_field, "RFC 9110 5.5",
                         "value of field " + std::string(name));
  add(name, trimmed(value));
  return {};
}

std::optional<ByteView> Fields::find(FieldId id) const {
  if (!holds(id)) return std::nullopt;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].id == id) return value(i);
  return std::nullopt;
}

std::optional<ByteView> Fields::find(ByteView lower_case_name) const {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (equals_ignoring_case(name(i), lower_case_name)) return value(i);
  return std::nullopt;
}

void Fields::remove(FieldId id) {
  if (!holds(id)) return;
  Fields kept;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].id != id) kept.add(name(i), value(i));
  *this = std::move(kept);
}

}  // namespace millrace::http
