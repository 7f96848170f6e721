#include "millrace/conn/answer_step.hpp"

#include "millrace/conn/exchange.hpp"
#include "millrace/proto/http/answer_fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::conn {

void AnswerStep::pass_on(Exchange& exchange, http::Part&& part) {
  if (next_) {
    next_->take(exchange, std::move(part));
  } else {
    exchange.send_on(std::move(part));
  }
}

void Filtered::dress(http::ResponseHead& head) const {
  for (std::size_t i = defaults.size(); i-- > 0;)
    if (!http::find_field(head, http::in_lower_case(defaults.name(i))))
      head.fields.add(defaults.name(i), defaults.value(i));
  for (std::size_t i = 0; i < additions.size(); ++i)
    head.fields.add(additions.name(i), additions.value(i));
}

}  // namespace millrace::conn
