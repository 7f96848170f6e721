// Where a socket listens or connects: TCP over IPv4 or IPv6, a Unix path, or a socket at hand.
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"

namespace millrace::net {

// A socket address as the kernel wants it. A value.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;
  // "fd://3": a socket that listens already and was handed to this process; the address above is
  // empty then.
  int inherited = -1;

  int family() const { return storage.ss_family; }
  std::uint16_t port() const;  // 0 for Unix
  std::string host() const;    // "127.0.0.1", "::1", the Unix path, or "@name" (unix(7): abstract)
  std::string to_string() const;  // "127.0.0.1:80", "[::1]:80", "unix:/path", "fd://3"
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* address() { return reinterpret_cast<sockaddr*>(&storage); }

  bool is_unix() const { return family() == AF_UNIX; }
  bool is_path() const;  // Unix, and a file: neither abstract nor without a name
  bool is_inherited() const { return inherited >= 0; }

  // "127.0.0.1:0", "[::1]:8080", ":8080" (all IPv4 addresses), "unix:/run/x.sock",
  // "unix:@name" (abstract: no file; a path that begins so is written "unix:./@name"), "fd://3".
  // Numeric hosts and "localhost" only. Errc::invalid_option.
  static base::Result<Endpoint> parse(std::string_view text);
  // As parse, and "fd://3,4" for several sockets at hand. Never an empty list.
  static base::Result<std::vector<Endpoint>> parse_list(std::string_view text);
  // A numeric address, IPv6 without brackets; nothing where it is none.
  static std::optional<Endpoint> of_address(std::string_view host, std::uint16_t port);
  // Resolves a name; blocks. Numeric hosts do not ask the resolver. Errc::name_not_found; never an
  // empty list.
  static base::Result<std::vector<Endpoint>> resolve(std::string_view host, std::uint16_t port);
};

// Who is at the other end of a connection.
struct Peer {
  Endpoint endpoint;
  base::Time ready = 0;  // when the wait that announced it returned
};

}  // namespace millrace::net
