// Fields that tell browsers what pages must not be used for.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "names" and "values" go on every answer, "secure_names" and "secure_values" on those over TLS
// only (RFC 6797 7.2); a field that the answer has stays as it is.
base::Result<std::unique_ptr<Filter>> make_security_headers(Settings& settings);

}  // namespace millrace::server
