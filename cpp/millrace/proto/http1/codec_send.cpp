// What goes out: parts become bytes.
#include <algorithm>
#include <limits>

#include "millrace/proto/http/status.hpp"
#include "millrace/proto/http1/codec.hpp"

namespace millrace::http1 {

using base::Errc;
using base::Status;
using base::Time;
using http::FieldId;
using http::Fields;
using proto::Afterwards;
using proto::Side;

namespace {

constexpr std::uint32_t bit(FieldId id) { return 1U << static_cast<unsigned>(id); }

Status wrong_state(std::string detail) {
  return base::failure(Errc::wrong_state, {}, std::move(detail));
}
Status invalid(std::string_view rule, std::string detail) {
  return base::failure(Errc::invalid_field, rule, std::move(detail));
}

bool either_holds(const Fields* preset, const Fields& fields, FieldId id) {
  return (preset && preset->holds(id)) || fields.holds(id);
}

// True if some Connection field names this option.
bool connection_says(const Fields* preset, const Fields& fields, std::string_view option) {
  auto const says = [option](const Fields& list) {
    for (std::size_t i = 0; i < list.size(); ++i)
      if (list.id(i) == FieldId::connection && http::list_contains(list.value(i), option))
        return true;
    return false;
  };
  return (preset && says(*preset)) || says(fields);
}

// The application's own Content-Length, which has to be one, and a number.
Status read_declared(const Fields* preset, const Fields& fields,
                     std::optional<std::uint64_t>& declared) {
  for (auto const* list : {preset, &fields}) {
    if (!list) continue;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (list->id(i) != FieldId::content_length) continue;
      if (declared) return invalid("RFC 9110 8.6", "two Content-Length fields");
      std::uint64_t value = 0;
      for (char c : list->value(i)) {
        if (c < '0' || c > '9' || value > std::numeric_limits<std::int64_t>::max() / 10 - 1)
          return invalid("RFC 9110 8.6", "Content-Length " + std::string(list->value(i)));
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
      }
      if (list->value(i).empty()) return invalid("RFC 9110 8.6", "empty Content-Length");
      declared = value;
    }
  }
  return {};
}

// Fields that would change what the codec itself says about the message.
constexpr std::uint32_t looked_at =
    bit(FieldId::content_length) | bit(FieldId::transfer_encoding) | bit(FieldId::connection);
bool is_plain(const Fields* preset, const Fields& fields) {
  return !fields.holds_any_of(looked_at) && !(preset && preset->holds_any_of(looked_at));
}

bool is_sendable_target(std::string_view target) {
  return !target.empty() && std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Status Codec::send(http::StreamId stream, http::Part part, Time now) {
  if (auto* message = std::get_if<http::ResponseMessage>(&part);
      message && is_usual(stream, message->head)) {
    say_usual(*message, now);
    return {};
  }
  if (!is_fitting(stream, part)) {
    // Room for a body that is over, or an end of what had none: late, not wrong.
    if (std::holds_alternative<http::Credit>(part)) return {};
    if (side_ == Side::client && stream == stream_ && std::holds_alternative<http::End>(part) &&
        out_framing_ == Framing::none && afterwards_ == Afterwards::go_on)
      return {};
    return wrong_state("stream " + std::to_string(stream));
  }
  return std::visit([this, now](auto& one) { return say(one, now); }, part);
}

bool Codec::is_fitting(http::StreamId stream, const http::Part& part) const {
  if (std::holds_alternative<http::GoAway>(part)) return true;
  if (afterwards_ != Afterwards::go_on) return false;
  bool const is_open = stream == stream_ && (in_ != State::idle || out_ != State::idle);
  if (std::holds_alternative<http::Credit>(part))
    return is_open && (in_ == State::body || in_ == State::idle);
  if (std::holds_alternative<http::Reset>(part)) return is_open;
  if (std::holds_alternative<http::Data>(part)) return is_open && may(out_, Input::data);
  if (std::holds_alternative<http::End>(part)) return is_open && out_ == State::body;
  if (std::holds_alternative<http::ResponseHead>(part) ||
      std::holds_alternative<http::ResponseMessage>(part))
    return side_ == Side::server && is_open && may(out_, Input::head);
  return side_ == Side::client && is_idle() && stream == stream_ + 1;
}

Status Codec::mismatch(std::string detail) {
  // The peer must not take the message for whole, so it is broken off where it stands.
  drop_events();
  end_connection(Afterwards::close);
  return base::failure(Errc::body_length_mismatch, "RFC 9110 8.6", std::move(detail));
}

// ----------------------------------------------------------------------------------------------
// responses

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
         is_plain(head.preset, head.fields);
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
  advance(out_, Input::head);
  advance(out_, Input::end);
  if (switches_protocol(status)) {
    switch_protocol();
  } else {
    settle_server(now);
  }
  return {};
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
  if (either_holds(head.preset, head.fields, FieldId::transfer_encoding))
    return invalid("RFC 9112 6.1", "Transfer-Encoding");
  if (head.status == 100) expects_continue_ = false;
  write_response(output_, head, {.omits_length = true}, {});
  advance(out_, Input::interim);
  return {};
}

// What the codec says beside the application's fields. `body_size` is that of a whole message.
Status Codec::plan_response(const http::ResponseHead& head, std::optional<std::size_t> body_size,
                            OwnFields& own) {
  if (head.status < 100 || head.status > 999)
    return invalid("RFC 9110 15", "status " + std::to_string(head.status));
  if (either_holds(head.preset, head.fields, FieldId::transfer_encoding))
    return invalid("RFC 9112 6.1", "Transfer-Encoding is the codec's");
  bool const switches = switches_protocol(head.status);
  if (switches && (in_ != State::done || (head.status == 101 && !wants_upgrade_)))
    return wrong_state("a switch of protocol that the request did not ask for");
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
  std::optional<std::uint64_t> declared;
  bool const has_field = either_holds(head.preset, head.fields, FieldId::content_length);
  if (has_field)
    if (auto read = read_declared(head.preset, head.fields, declared); !read) return read;
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
  bool const has_option = either_holds(head.preset, head.fields, FieldId::connection);
  bool const says_close = has_option && connection_says(head.preset, head.fields, "close");
  if (says_close) close_after_ = peer_may_send_ = true;
  if (in_ == State::body) {
    // With the end of this head it is too late for 100 (Continue).
    bool const will_not_come = expects_continue_ && !body_seen_;
    if (will_not_come || (is_message && !can_discard())) close_after_ = peer_may_send_ = true;
  }
  if (close_after_) {
    if (!says_close) own.connection = OwnFields::Connection::close;
  } else if (is_http10_ &&
             !(has_option && connection_says(head.preset, head.fields, "keep-alive"))) {
    own.connection = OwnFields::Connection::keep_alive;
  }
}

// ----------------------------------------------------------------------------------------------
// requests

Status Codec::say(http::RequestMessage& message, Time now) {
  OwnFields own;
  if (auto planned = plan_request(message.head, message.body.size(), own); !planned) return planned;
  write_request(output_, message.head, own, std::move(message.body));
  begin_request(message.head);
  advance(out_, Input::end);
  settle(now);
  return {};
}

Status Codec::say(http::RequestHead& head, Time) {
  OwnFields own;
  if (auto planned = plan_request(head, std::nullopt, own); !planned) return planned;
  write_request(output_, head, own, {});
  begin_request(head);
  if (out_framing_ == Framing::none) advance(out_, Input::end);
  return {};
}

Status Codec::plan_request(const http::RequestHead& head, std::optional<std::size_t> body_size,
                           OwnFields& own) {
  if (head.method == http::Method::other && !http::is_token(head.method_text))
    return invalid("RFC 9110 9.1", "method '" + head.method_text + "'");
  if (!is_sendable_target(head.target)) return invalid("RFC 9112 3.2", "target");
  if (!is_sendable_target(head.authority) && !either_holds(head.preset, head.fields, FieldId::host))
    return invalid("RFC 9112 3.2", "authority '" + head.authority + "'");
  std::optional<std::uint64_t> declared;
  bool const is_plain_head = is_plain(head.preset, head.fields);
  if (!is_plain_head) {
    if (either_holds(head.preset, head.fields, FieldId::transfer_encoding))
      return invalid("RFC 9112 6.1", "Transfer-Encoding is the codec's");
    if (auto read = read_declared(head.preset, head.fields, declared); !read) return read;
    if (connection_says(head.preset, head.fields, "close")) close_after_ = true;
  }
  bool const has_field = declared.has_value();
  if (!declared) declared = head.content_length;
  out_framing_ = Framing::none;
  if (body_size) {
    if (declared && *declared != *body_size)
      return base::failure(Errc::body_length_mismatch, "RFC 9110 8.6",
                           std::to_string(*body_size) + " bytes");
    // RFC 9110 8.6: methods that expect a body say that there is none.
    using http::Method;
    bool const expects_body =
        head.method == Method::post || head.method == Method::put || head.method == Method::patch;
    if (!has_field && (*body_size > 0 || expects_body)) own.length = *body_size;
    return {};
  }
  if (!has_field) own.length = declared;
  if (declared) {
    out_framing_ = *declared > 0 ? Framing::length : Framing::none;
    out_remaining_ = *declared;
  } else if (head.has_body) {
    out_framing_ = Framing::chunked;
    own.is_chunked = true;
  }
  return {};
}

void Codec::begin_request(const http::RequestHead& head) {
  advance(out_, Input::head);
  drop_events();
  ++stream_;
  asked_ = head.method;
  wants_upgrade_ = either_holds(head.preset, head.fields, FieldId::upgrade);
  is_bodiless_ = false;
  interims_ = 0;
  credit_ = 0;
}

// ----------------------------------------------------------------------------------------------
// bodies

Status Codec::say(http::Data& data, Time) {
  auto const size = data.bytes.size();
  if (is_bodiless_ || size == 0) return {};
  if (out_framing_ == Framing::chunked) {
    write_chunk(output_, std::move(data.bytes));
    return {};
  }
  if (out_framing_ == Framing::length) {
    if (size > out_remaining_)
      return mismatch(std::to_string(size - out_remaining_) + " bytes more than declared");
    out_remaining_ -= size;
  }
  output_.append(std::move(data.bytes));
  return {};
}

Status Codec::say(http::End& end, Time now) {
  if (!is_bodiless_ && out_framing_ == Framing::length && out_remaining_ > 0)
    return mismatch(std::to_string(out_remaining_) + " bytes less than declared");
  if (out_framing_ == Framing::chunked) {
    for (std::size_t i = 0; i < end.trailers.size(); ++i) {
      if (!is_forbidden_trailer(end.trailers.name(i))) continue;
      auto name = std::string(end.trailers.name(i));
      end_connection(Afterwards::close);
      return invalid("RFC 9110 6.5.1", "trailer " + std::move(name));
    }
    write_last_chunk(output_, end.trailers);
  }
  advance(out_, Input::end);
  settle(now);
  return {};
}

Status Codec::say(http::Reset&, Time) {
  // HTTP/1.1 has one way to say it: the connection ends where the message stands.
  drop_events();
  end_connection(Afterwards::close);
  return {};
}

Status Codec::say(http::Credit& credit, Time now) {
  if (is_discarding_) return {};
  if (credit_ == 0) since_ = in_ == State::body ? now : since_;
  credit_ += std::min(credit.bytes, std::numeric_limits<std::size_t>::max() - credit_);
  bool const may_continue = side_ == Side::server && in_ == State::body && out_ == State::idle;
  if (may_continue && expects_continue_ && !body_seen_) {
    expects_continue_ = false;
    write_continue(output_);
  }
  return {};
}

Status Codec::say(http::GoAway&, Time) {
  if (afterwards_ != Afterwards::go_on) return {};
  if (is_idle()) {
    end_connection(Afterwards::close);
  } else if (is_discarding_) {
    end_connection(Afterwards::close_lingering);
  } else {
    close_after_ = peer_may_send_ = true;
  }
  return {};
}

}  // namespace millrace::http1
