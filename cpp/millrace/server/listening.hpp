// From the binds that a person writes to the sockets that a pattern accepts from.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/net/listener.hpp"

namespace millrace::server {

struct Listening {
  // Bind by bind; for one socket per loop each bind has as many as there are loops, in their order.
  std::vector<net::ListenSocket> sockets;
  std::vector<net::Endpoint> endpoints;  // each address once
};

// Opens one socket and says where it is bound; for which loop, where each has one of its own.
using OpenSocket =
    std::function<base::Result<net::Endpoint>(const net::Endpoint& at, std::size_t loop)>;

// The sockets of each bind in turn; returns each address once. As open_sockets().
base::Result<std::vector<net::Endpoint>> open_each(const std::vector<std::string>& binds,
                                                   std::size_t per_loop, const OpenSocket& open);

// `per_loop`: how many loops want a socket of their own; 0: they share one. A bind like "fd://5,6"
// brings as many as that or is refused. Nothing is left open on failure.
base::Result<Listening> open_sockets(const std::vector<std::string>& binds, std::size_t per_loop,
                                     net::ListenSocket::Options options);

}  // namespace millrace::server
