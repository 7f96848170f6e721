#include "millrace/net/endpoint.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>

namespace millrace::net {
namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view inherited_prefix = "fd://";

base::Error refused(std::string_view text, std::string_view why) {
  return {
      base::Errc::invalid_option, {}, "address '" + std::string(text) + "': " + std::string(why)};
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number number = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "fd://3,4"
base::Result<std::vector<Endpoint>> parse_inherited(std::string_view text) {
  std::vector<Endpoint> endpoints;
  for (auto rest = text.substr(inherited_prefix.size());;) {
    auto const comma = rest.find(',');
    auto const descriptor = number_of<int>(rest.substr(0, comma));
    if (!descriptor || *descriptor < 0)
      return refused(text, "a descriptor is a number from 0, as in 'fd://3' or 'fd://3,4'");
    endpoints.emplace_back().inherited = *descriptor;
    if (comma == rest.npos) return endpoints;
    rest.remove_prefix(comma + 1);
  }
}

base::Result<Endpoint> parse_unix(std::string_view text) {
  auto const path = text.substr(unix_prefix.size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return refused(text, "the path is empty");
  if (path.size() >= sizeof address.sun_path)
    return refused(text, "the path is longer than " + std::to_string(sizeof address.sun_path - 1) +
                             " bytes, which is all the system takes");
  if (path.find('\0') != path.npos) return refused(text, "the path holds a NUL byte");
  if (path == "@") return refused(text, "an abstract name needs a character after its '@'");
  std::memcpy(address.sun_path, path.data(), path.size());
  // unix(7): an abstract name begins with a NUL byte and ends where the length says.
  bool const is_abstract = path.starts_with('@');
  if (is_abstract) address.sun_path[0] = '\0';
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, &address, sizeof address);
  endpoint.size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1));
  return endpoint;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// 0 or an EAI_ code.
int look_up(const std::string& host, std::uint16_t port, int flags, Addresses& found) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int const problem = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  found.reset(list);
  return problem;
}

Endpoint to_endpoint(const addrinfo& address) {
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, address.ai_addr, address.ai_addrlen);
  endpoint.size = address.ai_addrlen;
  return endpoint;
}

// The storage as the family's own struct, copied: reading it in place would break aliasing.
template <class Address>
Address as(const sockaddr_storage& storage) {
  Address address;
  std::memcpy(&address, &storage, sizeof address);
  return address;
}

// As inet_ntop(3), in a tenth of its instructions: UDP asks for each new peer.
std::string dotted(const in_addr& address) {
  char text[INET_ADDRSTRLEN];
  auto* end = text;
  for (auto const byte : std::bit_cast<std::array<std::uint8_t, 4>>(address)) {
    if (end != text) *end++ = '.';
    end = std::to_chars(end, std::end(text), byte).ptr;
  }
  return {text, end};
}

}  // namespace

std::uint16_t Endpoint::port() const {
  if (family() == AF_INET) return ntohs(as<sockaddr_in>(storage).sin_port);
  if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(storage).sin6_port);
  return 0;
}

std::string Endpoint::host() const {
  if (family() == AF_INET) return dotted(as<sockaddr_in>(storage).sin_addr);
  if (family() == AF_INET6) {
    char text[INET6_ADDRSTRLEN] = "";
    auto const address = as<sockaddr_in6>(storage);
    ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
    return text;
  }
  if (is_unix() && size > offsetof(sockaddr_un, sun_path)) {
    auto const address = as<sockaddr_un>(storage);
    auto const room =
        std::min<std::size_t>(size - offsetof(sockaddr_un, sun_path), sizeof address.sun_path);
    if (address.sun_path[0] == '\0') return "@" + std::string(address.sun_path + 1, room - 1);
    return std::string(address.sun_path, ::strnlen(address.sun_path, room));
  }
  return {};  // a Unix client has no name
}

bool Endpoint::is_path() const {
  return is_unix() && size > offsetof(sockaddr_un, sun_path) &&
         as<sockaddr_un>(storage).sun_path[0] != '\0';
}

std::string Endpoint::to_string() const {
  if (is_inherited()) return std::string(inherited_prefix) + std::to_string(inherited);
  if (is_unix()) return std::string(unix_prefix) + host();
  if (family() == AF_INET6) return "[" + host() + "]:" + std::to_string(port());
  return host() + ":" + std::to_string(port());
}

base::Result<Endpoint> Endpoint::parse(std::string_view text) {
  if (text.starts_with(unix_prefix)) return parse_unix(text);
  if (text.starts_with(inherited_prefix)) {
    auto list = parse_inherited(text);
    if (!list) return list.take_error();
    if (list->size() > 1) return refused(text, "one descriptor is wanted here, not several");
    return list->front();
  }
  auto const colon = text.rfind(':');
  if (colon == text.npos) return refused(text, "the port is missing, as in '127.0.0.1:8000'");
  auto host = text.substr(0, colon);
  auto const port = number_of<std::uint16_t>(text.substr(colon + 1));
  if (!port) return refused(text, "the port must be a number from 0 to 65535");
  bool const bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != host.npos)
    return refused(text, "IPv6 needs brackets, as in '[::1]:8000'");
  if (host.empty() && !bracketed) host = "0.0.0.0";
  if (host == "localhost") host = "127.0.0.1";
  Addresses found;
  if (host.empty() || look_up(std::string(host), *port, AI_NUMERICHOST, found) != 0)
    return refused(text, "the host must be a numeric address or 'localhost'");
  return to_endpoint(*found);
}

base::Result<std::vector<Endpoint>> Endpoint::parse_list(std::string_view text) {
  if (text.starts_with(inherited_prefix)) return parse_inherited(text);
  auto endpoint = parse(text);
  if (!endpoint) return endpoint.take_error();
  return std::vector{*endpoint};
}

std::optional<Endpoint> Endpoint::of_address(std::string_view host, std::uint16_t port) {
  std::string const text(host);  // ends in a zero byte
  if (text.find('\0') != text.npos) return std::nullopt;
  Endpoint endpoint;
  auto const keep = [&endpoint](const auto& address) {
    std::memcpy(&endpoint.storage, &address, sizeof address);
    endpoint.size = sizeof address;
  };
  if (sockaddr_in v4{}; ::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    keep(v4);
    return endpoint;
  }
  if (sockaddr_in6 v6{}; ::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    keep(v6);
    return endpoint;
  }
  return std::nullopt;
}

base::Result<std::vector<Endpoint>> Endpoint::resolve(std::string_view host, std::uint16_t port) {
  Addresses found;
  std::string const name(host);
  // AI_ADDRCONFIG is not asked for: it hides ::1 on machines whose only IPv6 address that is.
  if (int const problem = look_up(name, port, 0, found); problem != 0)
    return base::Error{
        base::Errc::name_not_found, {}, "'" + name + "': " + ::gai_strerror(problem)};
  std::vector<Endpoint> endpoints;
  for (auto const* address = found.get(); address; address = address->ai_next)
    endpoints.push_back(to_endpoint(*address));
  return endpoints;
}

}  // namespace millrace::net
