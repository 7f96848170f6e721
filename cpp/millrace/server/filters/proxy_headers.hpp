// Who the client behind trusted proxies is, as they tell.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "trusted": networks as net::AddressRange reads them, "unix" for whoever comes through a Unix
// socket, "*" for everybody; "forwarded": by Forwarded (RFC 7239), else by X-Forwarded-For and
// -Proto; "host": what they say of the host counts too.
base::Result<std::unique_ptr<Filter>> make_proxy_headers(Settings& settings);

}  // namespace millrace::server
