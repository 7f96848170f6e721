// What proxies say of the request that they were given: Forwarded (RFC 7239).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"

namespace millrace::http {

// One element: the words of one proxy, without their quotes; empty: it did not say.
struct ForwardedHop {
  std::string for_node, host, proto;
};

// The whole field, several lines of it joined by commas; the proxy that is nearest to us comes
// last. Nothing where any part is malformed: what a quote has swallowed cannot be told.
std::optional<std::vector<ForwardedHop>> read_forwarded(base::ByteView field);

// A node (RFC 7239 6), or a member of X-Forwarded-For, which writes IPv6 without brackets too.
struct ForwardedNode {
  base::ByteView address;  // no brackets; whether it is one is still to be seen. Empty: it is kept
                           // to the proxy, "unknown" or a made-up name
  std::uint16_t port = 0;  // 0: none, or a made-up one
};
std::optional<ForwardedNode> read_forwarded_node(base::ByteView text);

}  // namespace millrace::http
