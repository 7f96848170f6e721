// What a load run is told: what to ask, how fast, for how long.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/lab/arrivals.hpp"

namespace millrace::lab {

struct LoadRequest {
  std::string method = "GET";
  // Sent as they are, behind Host. A Host among them takes the place of the URL's.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // What the body of every 2xx answer has to be; another one is the error unexpected_body. None:
  // not looked at.
  std::optional<std::string> expect_body;
};

struct LoadPace {
  // Requests per second over all connections, sent when they are due (open loop). 0: each
  // connection sends its next request when the answer to the last one is whole (closed loop).
  double rate = 0;
  Spacing spacing = Spacing::constant;
  // Of the random gaps. Same seed, same moments.
  std::uint64_t seed = 1;
  // Requests are sent for so long; those under way are waited for. 0: until `requests` have been
  // sent.
  base::Duration duration = base::seconds(5);
  // Stop after so many; 0: until `duration` is over. If both are given, what comes first.
  std::uint64_t requests = 0;
  // Before all that: requests are sent and not recorded. 0, so that what is counted here is what
  // the server counts.
  base::Duration warmup = 0;
};

struct LoadOptions {
  LoadRequest request;
  LoadPace pace;
  std::size_t connections = 64;
  // Each has a loop of its own and its share of connections, rate and requests. One fills a core
  // and makes some 200,000 requests per second; more steal time from a server on the same machine.
  std::size_t threads = 1;
  // For a connect, and from sending a request to the end of its answer.
  base::Duration timeout = base::seconds(10);

  // Enough for any machine, and a typing error is told from a wish.
  static constexpr std::size_t max_connections = 1'000'000;
  static constexpr std::size_t max_threads = 1'024;
};

// Errc::invalid_option with a sentence, where the options contradict themselves or each other.
base::Status check(const LoadOptions& options);

}  // namespace millrace::lab
