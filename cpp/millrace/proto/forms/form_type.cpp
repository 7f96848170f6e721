#include "millrace/proto/forms/form_type.hpp"

#include <algorithm>

#include "millrace/proto/forms/parameters.hpp"
#include "millrace/proto/http/fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::forms {
namespace {

using base::ByteView;
using base::Errc;
using base::Error;

// RFC 2046 5.1.1, "bchars".
bool is_boundary_byte(char c) {
  return (c >= '0' && c <= '9') || (http::lower(c) >= 'a' && http::lower(c) <= 'z') ||
         ByteView("'()+_,-./:=? ").find(c) != ByteView::npos;
}

bool is_boundary(ByteView text) {
  return !text.empty() && text.size() <= 70 && text.back() != ' ' &&
         std::ranges::all_of(text, is_boundary_byte);
}

}  // namespace

base::Result<FormType> read_form_type(ByteView content_type) {
  auto const end = std::min(content_type.find(';'), content_type.size());
  auto const type = http::trimmed(content_type.substr(0, end));
  if (http::equals_ignoring_case(type, "application/x-www-form-urlencoded")) return FormType{};
  if (!http::equals_ignoring_case(type, "multipart/form-data"))
    return Error{Errc::unsupported_media_type, "RFC 9110 15.5.16",
                 "a form is multipart/form-data or application/x-www-form-urlencoded, not " +
                     (type.empty() ? "without a Content-Type" : "'" + std::string(type) + "'")};
  auto const parameters = read_parameters(content_type.substr(end), Quoting::field);
  auto boundary = parameters ? find(*parameters, "boundary") : std::nullopt;
  if (!boundary || !is_boundary(*boundary))
    return Error{Errc::malformed_message, "RFC 2046 5.1.1",
                 "multipart/form-data without a boundary of 1 to 70 bytes that are allowed in one"};
  return FormType{FormType::Kind::multipart, std::move(*boundary)};
}

}  // namespace millrace::forms
