// What a load run has seen: counted while it runs, summed up when somebody asks.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "millrace/base/error.hpp"
#include "millrace/observe/histogram.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::lab {

// What one thread counts. Written by it, read by any.
struct LoadTally {
  static constexpr std::size_t errc_count = static_cast<std::size_t>(base::Errc::count_);
  // One kind of error that no Errc names: the answer is proper HTTP and has the wrong body.
  static constexpr std::size_t unexpected_body = errc_count;
  static constexpr std::string_view unexpected_body_name = "unexpected_body";
  static constexpr std::size_t status_count = 600;

  // Of answered requests that are recorded; connects are all recorded, those before the first
  // request included.
  observe::Recorder latency;   // from the send
  observe::Recorder intended;  // from when it was due; open loop only
  observe::Recorder ttfb;      // send to head
  observe::Recorder connect;

  trace::Counter answered;                            // recorded ones
  trace::Counter failed;                              // errors of any kind, recorded ones
  std::array<trace::Counter, errc_count + 1> errors;  // of these, by kind
  std::array<trace::Counter, status_count> statuses;  // of `answered`, and interim (1xx) ones
  trace::Counter done;                                // answered or failed, warm-up included
  trace::Counter in_flight;
  trace::Counter reconnects;  // connections made anew, after the first of each
  trace::Counter unsent;      // were due before the end, but no connection was free
  // From the end of the warm-up to the end of the run.
  trace::Counter elapsed_ns, cpu_ns, bytes_in, bytes_out;
};

struct LoadProgress {
  base::Duration elapsed = 0;  // since the run was started
  std::uint64_t requests = 0;  // answered or failed, warm-up included
  std::uint64_t errors = 0;
  std::uint64_t in_flight = 0;
};

struct LoadResult {
  bool is_open_loop = false;
  std::uint64_t requests = 0;  // answered
  std::uint64_t unsent = 0;
  std::uint64_t reconnects = 0;
  std::map<std::string, std::uint64_t, std::less<>> errors;  // kinds that occurred
  std::map<int, std::uint64_t> statuses;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  base::Duration elapsed = 0;  // of the longest thread
  base::Duration cpu = 0;      // of the run's own threads, together
  observe::Histogram latency, intended, connect, ttfb;

  void add(const LoadTally& tally);
};

}  // namespace millrace::lab
