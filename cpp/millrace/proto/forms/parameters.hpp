// Parameters behind a value: "; name=value; name="value"" (RFC 9110 5.6.6).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"

namespace millrace::forms {

struct Parameter {
  std::string name;  // lower case
  std::string value;
};

enum class Quoting : std::uint8_t {
  field,  // in a quoted string any byte may stand behind a backslash (RFC 9110 5.6.4)
  form,   // as forms are sent: a backslash escapes quotes and itself, elsewhere it is one; and %22,
          // %0D, %0A stand for what cannot be sent (WHATWG HTML 4.10.21.8)
};

// `text`: what follows the value. None where it is malformed, or a name comes twice.
std::optional<std::vector<Parameter>> read_parameters(base::ByteView text, Quoting quoting);

// None where there is no such parameter.
std::optional<std::string> find(const std::vector<Parameter>& parameters, base::ByteView name);

}  // namespace millrace::forms
