// Entity tags for answers that have none, and 304 for clients that have them already.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "bytes": of the largest body that gets one; "weak". Only whole answers of 200 to GET and HEAD.
base::Result<std::unique_ptr<Filter>> make_etag(Settings& settings);

}  // namespace millrace::server
