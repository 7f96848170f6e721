// Answers in a content coding that the client wants (RFC 9110 8.4, 12.5.3).
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "codings": names, the preferred one first; "gzip_level", "br_level", "zstd_level".
// "minimum_bytes": a body that is shorter, where that is known, stays as it is.
// "content_types": "text/html", "text/*", or "+json" for all with that suffix (RFC 6839).
// "with_credentials": also answers to requests with Cookie or Authorization, and those that set a
// cookie.
base::Result<std::unique_ptr<Filter>> make_compression(Settings& settings);

}  // namespace millrace::server
