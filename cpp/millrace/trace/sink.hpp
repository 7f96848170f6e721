// Who is told what happened.
#pragma once
#include "millrace/base/bytes.hpp"
#include "millrace/trace/journey.hpp"

namespace millrace::trace {

// What was asked, and by whom, for those who write it down. Views live as long as the call that
// hands this on, `route` as long as the server.
class RequestWords {
 public:
  virtual base::ByteView method() const = 0;
  virtual base::ByteView target() const = 0;    // as sent
  virtual base::ByteView protocol() const = 0;  // "HTTP/1.1"
  // Where these three are not known: what came in their place, perhaps nothing.
  virtual base::ByteView unread_line() const { return {}; }
  // The router's pattern; empty: none matched. The same route has the same address.
  virtual base::ByteView route() const = 0;
  virtual base::ByteView client() const = 0;  // its address, without a port; empty: a Unix socket
  virtual base::ByteView field(base::ByteView lower_case_name) const = 0;  // empty: there is none

 protected:
  ~RequestWords() = default;
};

struct RequestDone {
  const Stamps& stamps;
  base::Time ended;         // last byte written, or the client found gone
  std::uint64_t bytes_out;  // of the body
  std::uint16_t status;     // 0: none was sent
  const RequestWords& words;
  bool is_refused = false;  // by the protocol; the status is what it said, whoever was left to hear

  // Answered to the last byte; else the client left before that.
  bool is_complete() const { return stamps[Moment::written] != 0; }
  base::Duration duration() const {
    for (auto moment : {Moment::ready, Moment::received, Moment::head_parsed})
      if (auto const begin = stamps[moment]; begin != 0) return ended >= begin ? ended - begin : 0;
    return 0;
  }
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
  // A request is over, one way or the other. Only where requests are stamped.
  virtual void request_done(const RequestDone& event) = 0;
  // What came was refused by the protocol: no handler has heard of it, and no stage has a duration.
  virtual void request_refused(const RequestDone&) {}
};

}  // namespace millrace::trace
