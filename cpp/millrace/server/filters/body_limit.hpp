// How much of a body requests may bring.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "bytes"; one more is 413 (RFC 9110 15.5.14). The last filter that a request meets counts.
base::Result<std::unique_ptr<Filter>> make_body_limit(Settings& settings);

}  // namespace millrace::server
