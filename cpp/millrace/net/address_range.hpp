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
bool is_ipv4(const AddressBytes& address);

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
