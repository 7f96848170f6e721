// Request lines and status lines, read strictly (RFC 9112 3 and 4).
#pragma once
#include <cstddef>

#include "millrace/proto/http/head.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http1/rules.hpp"

namespace millrace::http1 {

// Longer methods are refused: nobody has them, and garbage is seen sooner.
inline constexpr std::size_t method_bytes = 128;

// Both read the line at the front of block.bytes, which may not be whole yet. While it is not, they
// report only what no further byte can mend and leave `line_size` at 0; then they set the block's
// parts and `line_size`, CR LF included. What is reported for some bytes is reported for any more
// that follow them.
Breach read_request_line(http::HeadBlock& block, const http::Limits& limits,
                         std::size_t& line_size);
Breach read_status_line(http::HeadBlock& block, std::size_t& line_size);

}  // namespace millrace::http1
