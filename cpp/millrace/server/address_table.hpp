// How many connections each client address has open.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "millrace/net/endpoint.hpp"

namespace millrace::server {

// An address stands in it while it has a connection, so it is no larger than the limit on
// connections. One lock of several is taken per connection, none per request. Any thread.
class AddressTable {
 public:
  explicit AddressTable(std::size_t most) : most_(most) {}  // 0: no limit, and nothing is kept
  AddressTable(const AddressTable&) = delete;
  AddressTable& operator=(const AddressTable&) = delete;

  // False: the address has `most` already. Unix clients have no address, and no limit here.
  bool add(const net::Endpoint& peer);
  void remove(const net::Endpoint& peer);  // once for each add() that was true
  std::size_t size() const;                // addresses

 private:
  struct Mixed {
    std::size_t operator()(std::uint64_t key) const;
  };
  struct alignas(64) Shard {
    mutable std::mutex lock;
    std::unordered_map<std::uint64_t, std::size_t, Mixed> counts;
  };
  bool counts(const net::Endpoint& peer) const { return most_ != 0 && !peer.is_unix(); }
  Shard& shard_of(std::uint64_t key) { return shards_[Mixed()(key) % shards_.size()]; }

  const std::size_t most_;
  std::array<Shard, 16> shards_;
};

}  // namespace millrace::server
