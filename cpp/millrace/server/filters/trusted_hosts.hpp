// Which hosts a server answers for.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "hosts": as fits() takes them, without ports. Others are 421: this server gives no authoritative
// answer for them (RFC 9110 7.4, 15.5.20).
base::Result<std::unique_ptr<Filter>> make_trusted_hosts(Settings& settings);

}  // namespace millrace::server
