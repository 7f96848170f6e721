// Which kind of form a body is, by its Content-Type.
#pragma once
#include <cstdint>
#include <string>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"

namespace millrace::forms {

struct FormType {
  enum class Kind : std::uint8_t { urlencoded, multipart };
  Kind kind = Kind::urlencoded;
  std::string boundary;  // of multipart: 1 to 70 of the bytes that RFC 2046 5.1.1 lists
};

// Errc::unsupported_media_type for what is no form, malformed_message where the boundary is missing
// or not as RFC 2046 wants it.
base::Result<FormType> read_form_type(base::ByteView content_type);

}  // namespace millrace::forms
