// Addresses that begin alike: "10.0.0.0/8", "2001:db8::/32", or one alone.
#pragma once
#include <array>
#include <optional>

#include "millrace/net/endpoint.hpp"

namespace millrace::net {

// An address as IPv6 writes it: IPv4 is ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that a client is the
// same one on whichever socket it comes.
using AddressBytes = std::array<std::uint8_t, 16>;
// Nothing: it has none, as Unix sockets.
std::optional<AddressBytes> address_bytes(const Endpoint& endpoint);

// What one customer has at its command, as a number: an IPv4 address, or the /64 of an IPv6 one.
// They do not meet: no client comes from ffff:ffff::/32, which is multicast (RFC 4291 2.7).
// Nothing: it has no address.
std::optional<std::uint64_t> customer_of(const Endpoint& endpoint);

class AddressRange {
 public:
  // A length that leaves bits of the address over is a mistake: Errc::invalid_option.
  static base::Result<AddressRange> parse(std::string_view text);
  bool contains(const Endpoint& endpoint) const;

 private:
  AddressBytes first_{};
  int bits_ = 128;  // that count, from the left
};

}  // namespace millrace::net
