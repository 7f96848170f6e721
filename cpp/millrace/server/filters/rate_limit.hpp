// How often each client may ask.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "rate": requests a second; "burst": at once; "key": "client" (its address, of IPv6 the /64),
// "everyone", or "header:" and a field's name, where those without the field count by address;
// "keys": that are known at a time; "fields": answers tell what is left. One more is 429 with
// Retry-After (RFC 6585 4).
base::Result<std::unique_ptr<Filter>> make_rate_limit(Settings& settings);

}  // namespace millrace::server
