#include "millrace/server/address_table.hpp"

#include "millrace/base/random.hpp"
#include "millrace/net/address_range.hpp"

namespace millrace::server {

// Clients choose their addresses within bounds, so keys are mixed well.
std::size_t AddressTable::Mixed::operator()(std::uint64_t key) const {
  return base::Random(key).next();
}

bool AddressTable::add(const net::Endpoint& peer) {
  if (!counts(peer)) return true;
  auto const key = *net::customer_of(peer);
  auto& shard = shard_of(key);
  std::lock_guard const guard(shard.lock);
  auto& count = shard.counts[key];
  if (count == most_) return false;
  ++count;
  return true;
}

void AddressTable::remove(const net::Endpoint& peer) {
  if (!counts(peer)) return;
  auto const key = *net::customer_of(peer);
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
