// Who sent a datagram, as handlers get it.
#pragma once
#include <vector>

#include "ref.hpp"

#include "millrace/net/endpoint.hpp"

namespace millrace::python {

// (host, port) of peers. Those heard of last are kept, because writing an address out costs more
// than all the rest of a call. GIL held.
class PeerTuples {
 public:
  // Empty and an exception raised: no memory.
  Ref of(const net::Endpoint& peer);
  void clear() { kept_.clear(); }

 private:
  // A power of two. Peers that fall on the same place make each other's tuples again.
  static constexpr std::size_t places = 256;
  struct Kept {
    net::Endpoint peer;
    Ref tuple;
  };
  std::vector<Kept> kept_;  // empty until there is a peer
};

}  // namespace millrace::python
