// Header fields on their way out, and the rules their names and values obey (RFC 9110 5).
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"

namespace millrace::http {

using base::ByteView;

// Fields that some rule of ours looks at.
enum class FieldId : std::uint8_t {
  other,
  host,
  content_length,
  transfer_encoding,
  connection,
  keep_alive,
  expect,
  upgrade,
  date,
  trailer,
  te,
  content_type,
  server,
};

// For sets of ids; see Fields::holds_any_of.
constexpr std::uint32_t bit_of(FieldId id) { return 1U << static_cast<unsigned>(id); }

FieldId identify(ByteView name);  // any letter case

bool equals_ignoring_case(ByteView a, ByteView lower_case_b);
// RFC 9110 5.6.2
inline constexpr auto token_bytes = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();
constexpr bool is_token_byte(char c) { return token_bytes[static_cast<unsigned char>(c)]; }
bool is_token(ByteView text);
bool is_field_value(ByteView text);  // no control byte but HTAB (RFC 9110 5.5); empty is fine
// True if the comma-separated list holds `lower_case_token`.
bool list_contains(ByteView list, ByteView lower_case_token);

// An ordered list of fields. Kept as "Name: value\r\n" text, so that HTTP/1.1 sends it with one
// copy; others walk it. One owner at a time.
class Fields {
 public:
  Fields() = default;
  Fields(std::initializer_list<std::pair<ByteView, ByteView>> fields) {
    for (auto const& [name, value] : fields) add(name, value);
  }

  void add(ByteView name, ByteView value);  // trusted input
  base::Status add_checked(ByteView name,
                           ByteView value);  // Errc::invalid_field on CR, LF, NUL, bad names
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  ByteView name(std::size_t i) const {
    return {text_.data() + entries_[i].name_at, entries_[i].name_size};
  }
  ByteView value(std::size_t i) const {
    return {text_.data() + entries_[i].value_at, entries_[i].value_size};
  }
  FieldId id(std::size_t i) const { return entries_[i].id; }
  // Constant time: codecs ask it for every message they send.
  bool holds(FieldId id) const { return holds_any_of(bit_of(id)); }
  bool holds_any_of(std::uint32_t ids) const { return (ids_ & ids) != 0; }
  // The first field with this id.
  std::optional<ByteView> find(FieldId id) const;
  std::optional<ByteView> find(ByteView lower_case_name) const;
  void remove(FieldId id);
  // All of it, each line ended by CR LF.
  ByteView http1_text() const { return text_; }

 private:
  struct Entry {
    std::uint32_t name_at, value_at, name_size, value_size;
    FieldId id;
  };
  std::string text_;
  std::vector<Entry> entries_;
  std::uint32_t ids_ = 0;  // bit n is set if a field with FieldId n is here
};

}  // namespace millrace::http
