// Parts on their way out: who may say what when, and bodies.
#include <algorithm>
#include <limits>

#include "millrace/proto/http1/codec.hpp"
#include "millrace/proto/http1/said_fields.hpp"

namespace millrace::http1 {

using base::Errc;
using base::Status;
using base::Time;
using proto::Afterwards;
using proto::Side;

namespace {

Status wrong_state(std::string detail) {
  return base::failure(Errc::wrong_state, {}, std::move(detail));
}

}  // namespace

Status Codec::send(http::StreamId stream, http::Part&& part, Time now) {
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
      std::holds_alternative<http::ResponseMessage>(part) ||
      std::holds_alternative<http::ChainedResponse>(part))
    return side_ == Side::server && is_open && may(out_, Input::head);
  return side_ == Side::client && is_idle() && stream == stream_ + 1;
}

Status Codec::mismatch(std::string detail) {
  // The peer must not take the message for whole, so it is broken off where it stands.
  drop_events();
  end_connection(Afterwards::close);
  return base::failure(Errc::body_length_mismatch, "RFC 9110 8.6", std::move(detail));
}

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
      return invalid_field("RFC 9110 6.5.1", "trailer " + std::move(name));
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

Status Codec::say(http::GoAway& away, Time) {
  if (afterwards_ != Afterwards::go_on) return {};
  if (away.idle == http::GoAway::Idle::one_more) {
    // A head that has been sent promised another answer: that one will say it, when we are told
    // again.
    if (out_ == State::idle) close_after_ = peer_may_send_ = true;
  } else if (is_idle()) {
    end_connection(Afterwards::close);
  } else if (is_discarding_) {
    end_connection(Afterwards::close_lingering);
  } else {
    close_after_ = peer_may_send_ = true;
  }
  return {};
}

}  // namespace millrace::http1
