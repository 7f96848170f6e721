// What an application's fields say about the message they are sent with.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "millrace/proto/http/fields.hpp"

namespace millrace::http1 {

// A look at the fields of one head, preset and own together. Lives no longer than they do.
class SaidFields {
 public:
  SaidFields(const http::Fields* preset, const http::Fields& fields)
      : preset_(preset), fields_(fields) {}

  bool holds(http::FieldId id) const {
    return (preset_ && preset_->holds(id)) || fields_.holds(id);
  }
  // True if none of them touches framing or persistence, which are the codec's business.
  bool is_plain() const {
    return !fields_.holds_any_of(looked_at) && !(preset_ && preset_->holds_any_of(looked_at));
  }
  // True if some Connection field names this option.
  bool connection_names(std::string_view lower_case_option) const;
  // Content-Length, if there is one; it has to be one, and a number.
  base::Status read_length(std::optional<std::uint64_t>& length) const;
  base::Status check_framing() const;  // Errc::invalid_field where Transfer-Encoding is said

 private:
  static constexpr std::uint32_t looked_at = http::bit_of(http::FieldId::content_length) |
                                             http::bit_of(http::FieldId::transfer_encoding) |
                                             http::bit_of(http::FieldId::connection);

  const http::Fields* preset_;
  const http::Fields& fields_;
};

inline base::Status invalid_field(std::string_view clause, std::string detail) {
  return base::failure(base::Errc::invalid_field, clause, std::move(detail));
}

}  // namespace millrace::http1
