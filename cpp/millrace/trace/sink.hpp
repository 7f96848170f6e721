// Who is told what happened.
#pragma once
#include "millrace/trace/journey.hpp"

namespace millrace::trace {

struct RequestDone {
  const Stamps& stamps;
  std::uint64_t bytes_out;
  std::uint16_t status;
};

struct ConnectionAccepted {
  base::Time ready;    // the accepting loop's wait returned
  base::Time at_home;  // the connection stands on its home loop
};

// One per loop; called on that loop only.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void connection_accepted(const ConnectionAccepted& event) = 0;
  virtual void request_done(const RequestDone& event) = 0;
};

}  // namespace millrace::trace
