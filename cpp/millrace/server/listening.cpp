#include "millrace/server/listening.hpp"

#include <algorithm>
#include <utility>

namespace millrace::server {
namespace {

using base::Errc;
using net::Endpoint;

base::Status refused(const std::string& bind, const std::string& why) {
  return base::failure(Errc::invalid_option, {}, bind + ": " + why);
}

// What to open for one bind, one after the other.
base::Result<std::vector<Endpoint>> places(const std::string& bind, std::size_t per_loop) {
  auto list = Endpoint::parse_list(bind);
  if (!list || per_loop == 0) return list;
  auto const& first = list->front();
  if (first.is_unix())
    return refused(bind, "a Unix path cannot be bound once per loop; use another accept");
  if (!first.is_inherited()) return std::vector(per_loop, first);
  if (list->size() != per_loop)
    return refused(bind, "these are " + std::to_string(list->size()) + " sockets for " +
                             std::to_string(per_loop) +
                             " loops that accept from one each; name one per loop");
  return list;
}

void add_once(std::vector<Endpoint>& endpoints, const Endpoint& endpoint) {
  auto const is_same = [text = endpoint.to_string()](const Endpoint& other) {
    return other.to_string() == text;
  };
  if (std::ranges::none_of(endpoints, is_same)) endpoints.push_back(endpoint);
}

}  // namespace

base::Result<std::vector<Endpoint>> open_each(const std::vector<std::string>& binds,
                                              std::size_t per_loop, const OpenSocket& open) {
  std::vector<Endpoint> endpoints;
  for (auto const& bind : binds) {
    auto list = places(bind, per_loop);
    if (!list) return list.take_error();
    Endpoint chosen;  // the port that the kernel chose for the first one is everybody's
    for (std::size_t i = 0; i < list->size(); ++i) {
      auto const& place = (*list)[i];
      bool const is_repeated = per_loop > 0 && !place.is_inherited() && chosen.size > 0;
      auto opened = open(is_repeated ? chosen : place, per_loop > 0 ? i : 0);
      if (!opened) return opened.take_error();
      chosen = *opened;
      add_once(endpoints, chosen);
    }
  }
  return endpoints;
}

base::Result<Listening> open_sockets(const std::vector<std::string>& binds, std::size_t per_loop,
                                     net::ListenSocket::Options options) {
  Listening listening;
  options.reuse_port = per_loop > 0;
  auto opened = open_each(binds, per_loop,
                          [&](const Endpoint& at, std::size_t loop) -> base::Result<Endpoint> {
                            options.index = loop;
                            auto socket = net::ListenSocket::open(at, options);
                            if (!socket) return socket.take_error();
                            auto const endpoint = socket->endpoint();
                            listening.sockets.push_back(std::move(*socket));
                            return endpoint;
                          });
  if (!opened) return opened.take_error();
  listening.endpoints = std::move(*opened);
  return listening;
}

}  // namespace millrace::server
