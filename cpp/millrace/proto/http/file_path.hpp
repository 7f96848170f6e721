// Whether the path of a request may name a file.
#pragma once
#include <cstdint>
#include <string>

#include "millrace/base/bytes.hpp"

namespace millrace::http {

enum class DotFiles : std::uint8_t { refused, served };

// `path`: percent-decoded, below the folder that is served, without a slash at its beginning; one
// at its end names a folder. False for whatever could name something else than it seems to, on this
// system or on one that a client takes us for: segments that are empty, "." or "..", backslashes,
// control bytes; and, unless they are served, for names that begin with a dot.
bool may_name_file(base::ByteView path, DotFiles dot_files);

// A path as it stands in a Location field: what RFC 3986 does not allow in a path is escaped.
std::string escape_path(base::ByteView path);

}  // namespace millrace::http
