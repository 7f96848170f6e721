#include "millrace/server/address_table.hpp"

#include <netinet/in.h>

#include <cstring>

namespace millrace::server {
namespace {

// An IPv4 address (mapped into IPv6 or not), or the first half of an IPv6 one. They do not meet: no
// client comes from ffff:ffff::/32, which is multicast (RFC 4291 2.7).
std::uint64_t key_of(const net::Endpoint& peer) {
  constexpr std::uint64_t of_ipv4 = 0xffff'ffff'0000'0000;
  if (peer.family() == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &peer.storage, sizeof in);
    return of_ipv4 | in.sin_addr.s_addr;
  }
  sockaddr_in6 in6{};
  std::memcpy(&in6, &peer.storage, sizeof in6);
  std::uint64_t key = 0;
  if (!IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
    std::memcpy(&key, &in6.sin6_addr, sizeof key);
    return key;
  }
  std::uint32_t ipv4 = 0;
  std::memcpy(&ipv4, in6.sin6_addr.s6_addr + 12, sizeof ipv4);
  return of_ipv4 | ipv4;
}

}  // namespace

// Clients choose their addresses within bounds, so keys are mixed well (the finaliser of
// splitmix64).
std::size_t AddressTable::Mixed::operator()(std::uint64_t key) const {
  key = (key ^ (key >> 30)) * 0xbf58'476d'1ce4'e5b9;
  key = (key ^ (key >> 27)) * 0x94d0'49bb'1331'11eb;
  return key ^ (key >> 31);
}

bool AddressTable::add(const net::Endpoint& peer) {
  if (!counts(peer)) return true;
  auto const key = key_of(peer);
  auto& shard = shard_of(key);
  std::lock_guard const guard(shard.lock);
  auto& count = shard.counts[key];
  if (count == most_) return false;
  ++count;
  return true;
}

void AddressTable::remove(const net::Endpoint& peer) {
  if (!counts(peer)) return;
  auto const key = key_of(peer);
  auto& shard = shard_of(key);
  std::lock_guard const guard(shard.lock);
  auto const found = shard.counts.find(key);
  if (--found->second == 0) shard.counts.erase(found);
}

std::size_t AddressTable::size() const {
  std::size_t all = 0;
  for (auto const& shard : shards_) {
    std::lock_guard const guard(shard.lock);
    all += shard.counts.size();
  }
  return all;
}

}  // namespace millrace::server
