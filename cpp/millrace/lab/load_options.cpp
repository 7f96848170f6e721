#include "millrace/lab/load_options.hpp"

#include <cmath>

namespace millrace::lab {
namespace {

base::Status refuse(std::string sentence) {
  return base::failure(base::Errc::invalid_option, {}, std::move(sentence));
}

base::Status check(const LoadPace& pace) {
  if (!std::isfinite(pace.rate) || pace.rate < 0)
    return refuse("rate is a number of requests per second, or 0 for a closed loop");
  if (pace.rate > Arrivals::max_rate) return refuse("rate is at most 1e9 requests per second");
  if (pace.rate == 0 && pace.spacing != Spacing::constant)
    return refuse("arrivals need a rate: a closed loop sends when the last answer is whole");
  if (pace.duration < 0 || pace.warmup < 0) return refuse("duration and warmup are not negative");
  if (pace.duration == 0 && pace.requests == 0)
    return refuse("a load run needs an end: give duration or requests");
  return {};
}

}  // namespace

base::Status check(const LoadOptions& options) {
  if (options.connections < 1 || options.connections > LoadOptions::max_connections)
    return refuse("connections is between 1 and 1,000,000");
  if (options.threads < 1 || options.threads > LoadOptions::max_threads)
    return refuse("threads is between 1 and 1,024");
  if (options.threads > options.connections)
    return refuse("threads is at most connections: each thread drives connections of its own");
  if (options.request.expect_body && options.request.method == "HEAD")
    return refuse("expect_body has nothing to look at: the answer to HEAD has no body");
  if (options.timeout <= 0) return refuse("timeout is longer than 0");
  return check(options.pace);
}

}  // namespace millrace::lab
