// Token buckets by key: how often each may act.
#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "millrace/base/time.hpp"

namespace millrace::server {

// A bucket holds `burst` tokens and gets one back every `interval`; who finds it empty is refused.
// Kept as one number, the time at which it will be full again, so a bucket that is full is no
// different from one that nobody knows. Any thread.
class TokenBuckets {
 public:
  struct Rule {
    base::Duration interval = 0;  // between two tokens
    std::int64_t burst = 1;       // of a full bucket
    // Keys that are known at a time; rounded up. Beyond it the fullest of a few is forgotten, whose
    // owner has the least to gain by it.
    std::size_t most_keys = 0;
  };
  struct Outcome {
    bool is_granted;
    std::int64_t left;       // whole tokens
    base::Duration next_in;  // until there is a token; 0: now
    base::Duration full_in;  // until nothing is known of it any more
  };

  explicit TokenBuckets(Rule rule);
  // Takes one token. `key`: a hash that its owner cannot choose.
  Outcome take(std::uint64_t key, base::Time now);
  std::size_t capacity() const { return shards_.size() * sets_per_shard_ * ways; }

 private:
  struct Bucket {
    std::uint64_t key = 0;
    base::Time full_at = 0;  // no later than now: nobody's
  };
  static constexpr std::size_t ways = 8, shard_count = 16;
  using Set = std::array<Bucket, ways>;
  // A lock is held for some ten nanoseconds; sixteen of them keep loops out of each other's way.
  struct alignas(64) Shard {
    std::mutex lock;
    std::vector<Set> sets;
  };
  static Bucket& find(Set& set, std::uint64_t key);

  Rule rule_;
  std::size_t sets_per_shard_;
  std::array<Shard, shard_count> shards_;
};

}  // namespace millrace::server
