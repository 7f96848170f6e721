// Heads and chunks on their way out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "millrace/base/byte_chain.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http/message.hpp"

namespace millrace::http1 {

// What the codec itself says in a head, the application's fields apart.
struct OwnFields {
  enum class Connection : std::uint8_t { nothing, close, keep_alive };

  const http::DateField* date = nullptr;  // none where null
  std::optional<std::uint64_t> length{};  // Content-Length
  bool is_chunked = false;                // Transfer-Encoding: chunked
  bool omits_length = false;  // the application's Content-Length is left out (RFC 9110 8.6)
  Connection connection = Connection::nothing;
};

// Each writes the head and, where it is small, the body behind it into the same block; a larger one
// is appended. `body` is what goes on the wire now, chunk framing not included.
void write_response(base::ByteChain& out, const http::ResponseHead& head, const OwnFields& own,
                    base::Bytes body);
void write_request(base::ByteChain& out, const http::RequestHead& head, const OwnFields& own,
                   base::Bytes body);

// A response of the codec's own, complete. Returns the bytes of its body.
std::size_t write_refusal(base::ByteChain& out, std::uint16_t status, const http::DateField* date,
                          bool with_body);
void write_continue(base::ByteChain& out);

void write_chunk(base::ByteChain& out, base::Bytes data);  // not empty
void write_last_chunk(base::ByteChain& out, const http::Fields& trailers);

}  // namespace millrace::http1
