// How many requests at once a server answers well, found out from how long they take.
#pragma once
#include <cstddef>

#include "millrace/base/time.hpp"

namespace millrace::server {

struct AdaptiveLimitOptions {
  std::size_t least = 16;  // below, a burst of slow requests would lock everybody out
  std::size_t most = 10'000;
  std::size_t initial = 64;
  // Longer than usual by this factor is still no sign of overload: times vary.
  double tolerance = 1.5;
  // The part of each step that is taken: one odd request changes little.
  double smoothing = 0.2;
  // Requests over which "usual" is averaged.
  double memory = 600;
};

// The gradient algorithm of Netflix's concurrency-limits (Gradient2Limit): while requests take as
// long as usual the limit grows by a little, and as they take longer, which is what waiting for
// each other does, it shrinks in proportion. One owner at a time.
class AdaptiveLimit {
 public:
  explicit AdaptiveLimit(AdaptiveLimitOptions options = {});
  // A request took so long; so many were under way when it ended, itself included.
  void sample(base::Duration took, std::size_t in_flight);
  std::size_t limit() const { return static_cast<std::size_t>(limit_); }

 private:
  AdaptiveLimitOptions options_;
  double limit_;
  double usual_ = 0;  // nanoseconds; 0: nothing is known yet
};

}  // namespace millrace::server
