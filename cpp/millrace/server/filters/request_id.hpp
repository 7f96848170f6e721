// A name for each request, for its handler, its answer and the logs.
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "header": the field's name; "trusted": one that the client sends is taken over, if it is
// well-formed.
base::Result<std::unique_ptr<Filter>> make_request_id(Settings& settings);

}  // namespace millrace::server
