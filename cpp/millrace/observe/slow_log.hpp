// A loop's requests that took long, each with the stages of its journey.
#pragma once
#include <memory>
#include <string>

#include "millrace/observe/line_queue.hpp"
#include "millrace/trace/sink.hpp"

namespace millrace::observe {

struct SlowLogOptions {
  base::Duration threshold = 0;  // requests that take this long, or longer
  // Lines a loop writes per second: when everything is slow, the first few say why. The others are
  // counted, and the next line tells how many there were.
  std::uint32_t lines_per_second = 5;
  SharedLineQueue lines;  // shared with the thread that reads them; null: no such log
};

// One per loop; home loop only.
class SlowLog {
 public:
  explicit SlowLog(const SlowLogOptions& options)
      : options_(options), ring_(options_.lines->add_ring()) {}
  void record(const trace::RequestDone& event);

 private:
  void write(const trace::RequestDone& event);

  SlowLogOptions options_;
  LineQueue::Ring& ring_;
  std::string line_;
  base::Time second_began_ = 0;
  std::uint32_t lines_this_second_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace millrace::observe
