// Who may come in, by secrets that the filter knows.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "scheme" in lower case, and "accepted": what may stand behind it in Authorization (RFC 9110
// 11.6.2). All else is 401 with "challenge" in WWW-Authenticate, or "challenge_again" where
// something of the scheme was there.
base::Result<std::unique_ptr<Filter>> make_credentials(Settings& settings);

}  // namespace millrace::server
