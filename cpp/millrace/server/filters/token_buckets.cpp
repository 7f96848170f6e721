#include "millrace/server/filters/token_buckets.hpp"

#include <algorithm>

namespace millrace::server {

TokenBuckets::TokenBuckets(Rule rule)
    : rule_(rule),
      sets_per_shard_(std::max<std::size_t>(
          1, (rule.most_keys + shard_count * ways - 1) / (shard_count * ways))) {
  for (auto& shard : shards_) shard.sets.resize(sets_per_shard_);
}

TokenBuckets::Outcome TokenBuckets::take(std::uint64_t key, base::Time now) {
  auto& shard = shards_[key % shard_count];
  std::lock_guard const guard(shard.lock);
  auto& bucket = find(shard.sets[key / shard_count % sets_per_shard_], key);
  auto const missing = std::max<base::Duration>(bucket.full_at - now, 0);
  // Half a token is none: the bucket has room for a whole one less.
  auto const most_missing = (rule_.burst - 1) * rule_.interval;
  if (missing > most_missing)
    return {.is_granted = false, .left = 0, .next_in = missing - most_missing, .full_in = missing};
  auto const after = missing + rule_.interval;
  bucket = {key, now + after};
  auto const left = (rule_.burst * rule_.interval - after) / rule_.interval;
  return {.is_granted = true,
          .left = left,
          .next_in = std::max<base::Duration>(after - most_missing, 0),
          .full_in = after};
}

// Its own, or the fullest one's place.
TokenBuckets::Bucket& TokenBuckets::find(Set& set, std::uint64_t key) {
  auto const own = std::ranges::find(set, key, &Bucket::key);
  if (own != set.end()) return *own;
  auto& fullest = *std::ranges::min_element(set, {}, &Bucket::full_at);
  return fullest = {};
}

}  // namespace millrace::server
