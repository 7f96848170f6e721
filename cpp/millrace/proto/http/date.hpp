// Dates as HTTP writes and reads them (RFC 9110 5.6.7). Seconds since 1970, UTC.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "millrace/base/bytes.hpp"

namespace millrace::http {

constexpr std::size_t date_bytes = 29;

// Writes "Sun, 06 Nov 1994 08:49:37 GMT", `date_bytes` long; returns its end. Years from 1970 to
// 9999; what lies outside is brought to the nearest of them.
char* write_date(char* to, std::int64_t unix_seconds);
std::string date_text(std::int64_t unix_seconds);

// Any of the three forms that a recipient has to take. `now` decides the century of a year of two
// digits. The name of the day has to be one, not the right one.
std::optional<std::int64_t> read_date(base::ByteView text, std::int64_t now);

}  // namespace millrace::http
