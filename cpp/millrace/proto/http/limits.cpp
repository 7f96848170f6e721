#include "millrace/proto/http/limits.hpp"

#include <algorithm>
#include <string_view>

#include "millrace/proto/http/date.hpp"

namespace millrace::http {

void DateField::write(std::int64_t unix_seconds) {
  constexpr std::string_view name = "Date: ", line_end = "\r\n";
  char* p = std::ranges::copy(name, text).out;
  p = std::ranges::copy(line_end, write_date(p, unix_seconds)).out;
  size = static_cast<std::size_t>(p - text);
}

}  // namespace millrace::http
