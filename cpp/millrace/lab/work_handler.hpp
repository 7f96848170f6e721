// A handler with a known price: it computes or waits for as long as it is told, and answers "done".
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>

#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/server/handler.hpp"

namespace millrace::lab {

// What one request costs: first the computing, then the waiting.
struct Price {
  base::Duration cpu = 0;   // of the thread's own CPU time, so that being preempted does not count
  base::Duration wait = 0;  // asleep, as if for a disk or a database
};

struct WorkOptions {
  Price usual;
  Price slow;                // of the slow requests
  double slow_fraction = 0;  // 0 to 1; one request in each run of round(1 / slow_fraction) is slow
  std::uint64_t seed = 1;    // which one of each run
};

// Errc::invalid_option for a negative duration or a fraction outside 0 to 1.
base::Status check(const WorkOptions& options);

// True if request number `ordinal` (from 0) is a slow one. Exactly one of each run is, at a place
// that the seed draws: a short measurement holds the share it should, which independent draws would
// only do on average.
bool is_slow(const WorkOptions& options, std::uint64_t ordinal);

// Blocks its thread on purpose: what that does to the other requests is what gets measured. Any
// thread.
class WorkHandler final : public server::Handler {
 public:
  // Calls the work, which blocks: a language run-time gives up its lock around it. Any thread.
  using Around = std::function<void(const std::function<void()>& work)>;

  // check() has accepted the options. `around` may be empty.
  explicit WorkHandler(const WorkOptions& options, Around around = {});
  Where where() const override { return Where::dispatched; }
  Body body() const override { return Body::whole; }
  void handle(conn::Exchange& exchange) override;

 private:
  const WorkOptions options_;
  const Around around_;
  const http::Fields fields_;
  std::atomic<std::uint64_t> requests_{0};
};

}  // namespace millrace::lab
