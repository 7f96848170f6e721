#include "peer_tuples.hpp"

#include <cstring>
#include <functional>
#include <string_view>

namespace millrace::python {
namespace {

std::string_view bytes_of(const net::Endpoint& peer) {
  return {reinterpret_cast<const char*>(&peer.storage), peer.size};
}

}  // namespace

Ref PeerTuples::of(const net::Endpoint& peer) {
  if (kept_.empty()) kept_.resize(places);
  auto const wanted = bytes_of(peer);
  auto const place = std::hash<std::string_view>{}(wanted) % places;
  if (bytes_of(kept_[place].peer) == wanted) return kept_[place].tuple;
  Ref made(Py_BuildValue("si", peer.host().c_str(), static_cast<int>(peer.port())));
  // The call above may have let another thread in.
  if (made) kept_[place] = {peer, made};
  return made;
}

}  // namespace millrace::python
