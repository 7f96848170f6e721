#include "millrace/net/address_range.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace millrace::net {
namespace {

constexpr AddressBytes mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
constexpr std::size_t mapped_bytes = 12;

// The bits of an address that do not count, as zeros.
AddressBytes cut(AddressBytes address, int bits) {
  for (int byte = 0; byte < 16; ++byte) {
    int const kept = std::clamp(bits - 8 * byte, 0, 8);
    address[static_cast<std::size_t>(byte)] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return address;
}

std::optional<int> length_in(std::string_view text, int most) {
  int length = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), length);
  bool const is_number = problem == std::errc{} && end == text.data() + text.size();
  return is_number && length >= 0 && length <= most ? std::optional(length) : std::nullopt;
}

base::Error refused(std::string_view text, std::string_view why) {
  return {
      base::Errc::invalid_option, {}, "network '" + std::string(text) + "': " + std::string(why)};
}

}  // namespace

std::optional<AddressBytes> address_bytes(const Endpoint& endpoint) {
  AddressBytes bytes = mapped;
  if (endpoint.family() == AF_INET) {
    sockaddr_in address;
    std::memcpy(&address, &endpoint.storage, sizeof address);
    std::memcpy(bytes.data() + mapped_bytes, &address.sin_addr, sizeof address.sin_addr);
    return bytes;
  }
  if (endpoint.family() != AF_INET6) return std::nullopt;
  sockaddr_in6 address;
  std::memcpy(&address, &endpoint.storage, sizeof address);
  std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
  return bytes;
}

std::optional<std::uint64_t> customer_of(const Endpoint& endpoint) {
  constexpr std::uint64_t of_ipv4 = 0xffff'ffff'0000'0000;
  auto const address = address_bytes(endpoint);
  if (!address) return std::nullopt;
  std::uint32_t ipv4 = 0;
  std::memcpy(&ipv4, address->data() + mapped_bytes, sizeof ipv4);
  if (std::equal(mapped.begin(), mapped.begin() + mapped_bytes, address->begin()))
    return of_ipv4 | ipv4;
  std::uint64_t network = 0;
  std::memcpy(&network, address->data(), sizeof network);
  return network;
}

base::Result<AddressRange> AddressRange::parse(std::string_view text) {
  auto const slash = text.find('/');
  auto const endpoint = Endpoint::of_address(text.substr(0, slash), 0);
  if (!endpoint) return refused(text, "write an address, or one with a length: '10.0.0.0/8'");
  int const most = endpoint->family() == AF_INET ? 32 : 128;
  auto const length =
      slash == text.npos ? std::optional(most) : length_in(text.substr(slash + 1), most);
  if (!length) return refused(text, "the length is a number from 0 to " + std::to_string(most));
  AddressRange range;
  range.first_ = *address_bytes(*endpoint);
  range.bits_ = 128 - most + *length;
  if (cut(range.first_, range.bits_) != range.first_)
    return refused(text, "the address has bits beyond its length; write the network's first one");
  return range;
}

bool AddressRange::contains(const Endpoint& endpoint) const {
  auto const address = address_bytes(endpoint);
  return address && cut(*address, bits_) == first_;
}

}  // namespace millrace::net
