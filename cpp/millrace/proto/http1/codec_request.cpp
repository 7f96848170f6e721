// Requests on their way out.
#include <algorithm>

#include "millrace/proto/http1/codec.hpp"
#include "millrace/proto/http1/said_fields.hpp"

namespace millrace::http1 {

using base::Errc;
using base::Status;
using base::Time;
using http::FieldId;

namespace {

bool is_sendable_target(std::string_view target) {
  return !target.empty() && std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

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
    return invalid_field("RFC 9110 9.1", "method '" + head.method_text + "'");
  SaidFields const said(head.preset, head.fields);
  if (!is_sendable_target(head.target)) return invalid_field("RFC 9112 3.2", "target");
  if (!is_sendable_target(head.authority) && !said.holds(FieldId::host))
    return invalid_field("RFC 9112 3.2", "authority '" + head.authority + "'");
  std::optional<std::uint64_t> declared;
  if (auto checked = said.check_framing(); !checked) return checked;
  if (auto read = said.read_length(declared); !read) return read;
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
  SaidFields const said(head.preset, head.fields);
  wants_upgrade_ = said.holds(FieldId::upgrade);
  if (said.connection_names("close")) close_after_ = true;
  is_bodiless_ = false;
  interims_ = 0;
  credit_ = 0;
}

}  // namespace millrace::http1
