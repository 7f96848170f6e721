// The codings a message says it has (RFC 9110 8.4).
#pragma once
#include <optional>
#include <vector>

#include "millrace/proto/coding/coding.hpp"
#include "millrace/proto/http/head.hpp"

namespace millrace::http {

// In the order they were applied; empty where there are none ("identity" is none). No value where
// one is unknown, or where there are more than `most`.
std::optional<std::vector<coding::Coding>> content_codings(const Head& head, std::size_t most);

}  // namespace millrace::http
