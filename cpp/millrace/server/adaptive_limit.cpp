#include "millrace/server/adaptive_limit.hpp"

#include <algorithm>

namespace millrace::server {
namespace {

// Requests that may wait where all goes well: what the limit grows by.
constexpr double headroom = 4;
// One step halves the limit at worst.
constexpr double steepest = 0.5;

}  // namespace

AdaptiveLimit::AdaptiveLimit(AdaptiveLimitOptions options)
    : options_(options),
      limit_(static_cast<double>(std::clamp(options.initial, options.least, options.most))) {}

void AdaptiveLimit::sample(base::Duration took, std::size_t in_flight) {
  auto const now = static_cast<double>(std::max<base::Duration>(took, 1));
  usual_ = usual_ == 0 ? now : usual_ + (now - usual_) / options_.memory;
  // After a long overload what was slow has become usual: it is forgotten faster than it was
  // learnt.
  if (usual_ > 2 * now) usual_ *= 0.95;
  // Where the limit does not bind, its being higher or lower would show nothing.
  if (static_cast<double>(in_flight) < limit_ / 2) return;
  auto const gradient = std::clamp(options_.tolerance * usual_ / now, steepest, 1.0);
  auto const next = limit_ * gradient + headroom;
  limit_ = std::clamp(limit_ + (next - limit_) * options_.smoothing,
                      static_cast<double>(options_.least), static_cast<double>(options_.most));
}

}  // namespace millrace::server
