// A loop's share of the access log: writes each request as a line and hands it on.
#pragma once
#include <memory>
#include <string>

#include "millrace/observe/line_queue.hpp"
#include "millrace/observe/log_format.hpp"

namespace millrace::observe {

// Where lines go, and how they look.
struct LogOutput {
  LogFormat format;
  SharedLineQueue lines;  // shared with the thread that writes them out
};

// One per loop and output; home loop only.
class AccessLog {
 public:
  explicit AccessLog(const LogOutput& output) : output_(output), ring_(output_.lines->add_ring()) {}
  void record(const trace::RequestDone& event) {
    line_.clear();
    output_.format.write(line_, event, clock_);
    ring_.put(line_);
  }

 private:
  LogOutput output_;
  LineQueue::Ring& ring_;
  LogClock clock_;
  std::string line_;
};

}  // namespace millrace::observe
