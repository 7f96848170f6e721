// What pages of other origins may do: the CORS protocol (WHATWG Fetch, "HTTP CORS protocol").
#pragma once
#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

// "origins" as fits() takes them, or "any_origin"; "credentials"; "methods", "headers" and
// "exposed": values of their fields, where "*" as methods or headers allows what is asked for;
// "max_age": seconds, as text.
base::Result<std::unique_ptr<Filter>> make_cors(Settings& settings);

}  // namespace millrace::server
