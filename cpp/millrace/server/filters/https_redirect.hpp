// Sends those who come without TLS to where there is.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "status": 307 or 308, which keep method and body (RFC 9110 15.4.8, 15.4.9); "port": of HTTPS.
base::Result<std::unique_ptr<Filter>> make_https_redirect(Settings& settings);

}  // namespace millrace::server
