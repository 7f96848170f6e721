// What stands between a handler's answer and the codec: filters that look at its parts, or change
// them.
#pragma once
#include <memory>
#include <optional>

#include "millrace/net/endpoint.hpp"
#include "millrace/proto/http/message.hpp"

namespace millrace::conn {

class Exchange;

// One filter's part in one answer. Home loop only; lives as long as its exchange needs it.
class AnswerStep {
 public:
  virtual ~AnswerStep() = default;
  // The next part, in order: interim heads too, and Reset, after which nothing comes. It passes on
  // what it wants sent, now or with a later part: nothing, the same, or more.
  virtual void take(Exchange& exchange, http::Part&& part) = 0;

 protected:
  // To the next step, or the codec.
  void pass_on(Exchange& exchange, http::Part&& part);

 private:
  friend struct Filtered;
  std::unique_ptr<AnswerStep> next_;
};

// What filters have said about an exchange; one that no filter has a word for has none.
struct Filtered {
  // On its answer, unless that has a field of the name; the last one of a name counts.
  http::Fields defaults;
  http::Fields additions;  // on its answer, beside fields of the name
  // The client behind trusted proxies, where they have told; its port may be 0.
  std::optional<net::Endpoint> client;
  bool is_secure = false;  // it came over TLS, if only as far as a trusted proxy
  // Of its body; more is 413. Instead of the server's own limit for bodies that are buffered, and
  // for streamed ones too.
  std::optional<std::size_t> body_bytes;

  // The filter nearest to the handler comes last, and its step first.
  void add_step(std::unique_ptr<AnswerStep> step) {
    step->next_ = std::move(first_step);
    first_step = std::move(step);
  }
  // Home loop: the head is about to be sent.
  void dress(http::ResponseHead& head) const;

  std::unique_ptr<AnswerStep> first_step;
};

}  // namespace millrace::conn
