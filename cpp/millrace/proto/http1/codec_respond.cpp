// Responses on their way out.
#include "millrace/proto/http/status.hpp"
#include "millrace/proto/http1/codec.hpp"
#include "millrace/proto/http1/said_fields.hpp"

namespace millrace::http1 {

using base::Status;
using base::Time;
using http::FieldId;
using proto::Side;

bool Codec::switches_protocol(std::uint16_t status) const {
  return status == 101 || (asked_ == http::Method::connect && status >= 200 && status < 300);
}

// A whole answer that nothing is special about: it has a body, its length is the body's, the
// connection goes on. Most are, and the checks below cost more than writing one.
bool Codec::is_usual(http::StreamId stream, const http::ResponseHead& head) const {
  return side_ == Side::server && stream == stream_ && in_ == State::done && out_ == State::idle &&
         !close_after_ && !is_http10_ && asked_ != http::Method::head &&
         asked_ != http::Method::connect && head.status >= 200 && head.status <= 999 &&
         !http::is_always_bodiless(head.status) && !head.content_length &&
         SaidFields(head.preset, head.fields).is_plain();
}

void Codec::say_usual(http::ResponseMessage& message, Time now) {
  OwnFields const own{.date = date_, .length = message.body.size()};
  write_response(output_, message.head, own, std::move(message.body));
  advance(out_, Input::head);
  advance(out_, Input::end);
  settle_server(now);
}

Status Codec::say(http::ResponseMessage& message, Time now) {
  auto const status = message.head.status;
  if (http::is_interim(status) && status != 101) return say_interim(message.head);
  OwnFields own;
  if (auto planned = plan_response(message.head, message.body.size(), own); !planned)
    return planned;
  write_response(output_, message.head, own,
                 is_bodiless_ ? base::Bytes{} : std::move(message.body));
  end_response(status, now);
  return {};
}

Status Codec::say(http::ChainedResponse& message, Time now) {
  auto const status = message.head.status;
  if (http::is_interim(status)) return invalid_field("RFC 9110 15.2", "an interim body");
  OwnFields own;
  if (auto planned = plan_response(message.head, message.body.size(), own); !planned)
    return planned;
  write_response(output_, message.head, own, {});
  if (!is_bodiless_) output_.splice(message.body);
  end_response(status, now);
  return {};
}

void Codec::end_response(std::uint16_t status, Time now) {
  advance(out_, Input::head);
  advance(out_, Input::end);
  if (switches_protocol(status)) {
    switch_protocol();
  } else {
    settle_server(now);
  }
}

Status Codec::say(http::ResponseHead& head, Time) {
  if (http::is_interim(head.status) && head.status != 101) return say_interim(head);
  OwnFields own;
  if (auto planned = plan_response(head, std::nullopt, own); !planned) return planned;
  write_response(output_, head, own, {});
  advance(out_, Input::head);
  if (switches_protocol(head.status)) {
    advance(out_, Input::end);
    switch_protocol();
  }
  return {};
}

Status Codec::say_interim(const http::ResponseHead& head) {
  if (is_http10_) return {};  // RFC 9110 15.2: HTTP/1.0 does not know them
  if (auto checked = SaidFields(head.preset, head.fields).check_framing(); !checked) return checked;
  if (head.status == 100) expects_continue_ = false;
  write_response(output_, head, {.omits_length = true}, {});
  advance(out_, Input::interim);
  return {};
}

// What the codec says beside the application's fields. `body_size` is that of a whole message.
Status Codec::plan_response(const http::ResponseHead& head, std::optional<std::size_t> body_size,
                            OwnFields& own) {
  if (head.status < 100 || head.status > 999)
    return invalid_field("RFC 9110 15", "status " + std::to_string(head.status));
  if (auto checked = SaidFields(head.preset, head.fields).check_framing(); !checked) return checked;
  bool const switches = switches_protocol(head.status);
  if (switches && (in_ != State::done || (head.status == 101 && !wants_upgrade_)))
    return base::failure(base::Errc::wrong_state, "RFC 9110 7.8", "the request did not ask for it");
  own.date = date_;
  is_bodiless_ = switches || asked_ == http::Method::head || http::is_always_bodiless(head.status);
  out_framing_ = Framing::none;
  if (switches || head.status == 204) {
    own.omits_length = true;  // RFC 9110 8.6
  } else if (auto planned = plan_length(head, body_size, own); !planned) {
    return planned;
  }
  if (!switches) plan_connection(head, body_size.has_value(), own);
  return {};
}

Status Codec::plan_length(const http::ResponseHead& head, std::optional<std::size_t> body_size,
                          OwnFields& own) {
  SaidFields const said(head.preset, head.fields);
  std::optional<std::uint64_t> declared;
  bool const has_field = said.holds(FieldId::content_length);
  if (auto read = said.read_length(declared); !read) return read;
  if (!declared) declared = head.content_length;

  if (body_size) {
    // A response without a body may still say how long it would have been.
    bool const says_another = declared && *declared != *body_size;
    if (says_another && !(is_bodiless_ && *body_size == 0))
      return mismatch(std::to_string(*body_size) + " bytes, " + std::to_string(*declared) +
                      " declared");
    bool const is_unknown = head.status == 304 && *body_size == 0 && !declared;
    if (!has_field && !is_unknown) own.length = declared ? *declared : *body_size;
    return {};
  }
  if (!has_field) own.length = declared;
  if (is_bodiless_) return {};
  if (declared) {
    out_framing_ = Framing::length;
    out_remaining_ = *declared;
  } else if (is_http10_) {
    out_framing_ = Framing::until_close;
    close_after_ = true;
  } else {
    out_framing_ = Framing::chunked;
    own.is_chunked = true;
  }
  return {};
}

void Codec::plan_connection(const http::ResponseHead& head, bool is_message, OwnFields& own) {
  SaidFields const said(head.preset, head.fields);
  bool const says_close = said.connection_names("close");
  if (says_close) close_after_ = peer_may_send_ = true;
  if (in_ == State::body) {
    // With this head it is too late for 100 (Continue). The client will not send the body then, or
    // will lose patience and send it: nobody could tell what comes next.
    bool const will_not_come = expects_continue_ && !body_seen_;
    if (will_not_come || (is_message && !can_discard())) close_after_ = peer_may_send_ = true;
  }
  if (close_after_) {
    if (!says_close) own.connection = OwnFields::Connection::close;
  } else if (is_http10_ && !said.connection_names("keep-alive")) {
    own.connection = OwnFields::Connection::keep_alive;
  }
}

}  // namespace millrace::http1
