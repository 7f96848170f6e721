// Request targets (RFC 9112 3.2, RFC 3986): taken apart, percent-decoded, normalised.
#pragma once
#include "millrace/proto/http/head.hpp"

namespace millrace::http {

// Reads block.target (which lies inside block.bytes) and sets path, query and, for absolute-form
// and CONNECT, authority. A path that needs no change stays a span of the target; else its decoded,
// normalised form is appended to block.bytes. Errc::bad_target on control bytes, '#', malformed
// percent escapes, encoded NUL, or a form the method may not use.
base::Status read_target(HeadBlock& block);

// uri-host [":" port] as Host and targets carry it (RFC 9110 7.2): a name, an IPv4 address or an
// IPv6 one in brackets; never empty, never with user information; a port is at most 65535.
bool is_authority(ByteView text);
// Its host: without the port, the brackets of an IPv6 address included.
ByteView host_in(ByteView authority);

// Percent-decoded text; nothing where an escape is malformed.
std::optional<std::string> percent_decode(ByteView text);

}  // namespace millrace::http
