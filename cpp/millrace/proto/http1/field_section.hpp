// The fields of a head or of a trailer section: cut by the strict grammar, and llhttp reads those
// that frame the message.
#pragma once
#include <cstddef>

#include "millrace/proto/http/head.hpp"
#include "millrace/proto/http1/rules.hpp"

namespace millrace::http1 {

// Reads block.bytes from `at`, where the first field (or the final empty line) begins, to its end,
// which is the end of the final empty line. Fills block.fields, ids included. Line ends and NUL
// were checked by a LineScan.
Breach read_fields(http::HeadBlock& block, std::size_t at, std::size_t most_fields);

}  // namespace millrace::http1
