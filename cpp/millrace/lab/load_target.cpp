#include "millrace/lab/load_target.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace millrace::lab {
namespace {

using base::Errc;

base::Status refuse(std::string sentence) {
  return base::failure(Errc::invalid_option, {}, std::move(sentence));
}

// What may not stand in a request line, nor in Host: the rest is the server's to judge.
bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

base::Status take_port(std::string_view text, Url& url) {
  auto const* const end = text.data() + text.size();
  auto const [stop, error] = std::from_chars(text.data(), end, url.port);
  if (error != std::errc{} || stop != end || url.port == 0)
    return refuse("the port of the URL is a number from 1 to 65535");
  return {};
}

base::Status take_authority(std::string_view text, Url& url) {
  url.authority = text;
  if (text.find('@') != text.npos)
    return refuse("a user name in the URL is not supported; send an Authorization header");
  auto const bracket = text.starts_with('[') ? text.find(']') : text.npos;
  if (text.starts_with('[') && bracket == text.npos)
    return refuse("the IPv6 address in the URL lacks its closing bracket");
  auto const colon = text.find(':', bracket == text.npos ? 0 : bracket);
  auto const host = text.substr(0, colon);
  url.host = bracket == text.npos ? host : host.substr(1, bracket - 1);
  if (url.host.empty()) return refuse("the URL names no host");
  return colon == text.npos ? base::Status{} : take_port(text.substr(colon + 1), url);
}

}  // namespace

base::Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (text.starts_with("https://")) return refuse("https is not built yet; load a http:// URL");
  if (!text.starts_with(scheme))
    return refuse("the URL begins with http://, as in http://127.0.0.1:8000/");
  if (!is_visible(text))
    return refuse("the URL holds a space, a control byte or a letter that needs percent-encoding");
  text.remove_prefix(scheme.size());
  text = text.substr(0, text.find('#'));  // fragments are not sent (RFC 9110 4.2.5)

  Url url;
  auto const slash = std::min(text.find_first_of("/?"), text.size());
  if (auto taken = take_authority(text.substr(0, slash), url); !taken) return taken;
  auto const rest = text.substr(slash);
  if (rest.starts_with('?')) {
    url.target.append(rest);
  } else if (!rest.empty()) {
    url.target = rest;
  }
  return url;
}

base::Result<LoadTarget> LoadTarget::make(std::string_view url_text, const LoadRequest& request) {
  auto url = parse_url(url_text);
  if (!url) return url.take_status();
  LoadTarget target;
  target.target_ = std::move(url->target);
  target.authority_ = std::move(url->authority);
  target.method_ = http::method_named(request.method);
  if (!http::is_token(request.method)) return refuse("method is a word, such as GET");
  if (target.method_ == http::Method::connect)
    return refuse("CONNECT opens a tunnel and cannot be repeated");
  if (target.method_ == http::Method::other) target.method_text_ = request.method;
  if (auto taken = target.take_headers(request); !taken) return taken;
  target.body_ = request.body;

  auto endpoints = net::Endpoint::resolve(url->host, url->port);
  if (!endpoints) return endpoints.take_status();
  target.endpoints_ = std::move(*endpoints);
  return target;
}

base::Status LoadTarget::take_headers(const LoadRequest& request) {
  for (auto const& [name, value] : request.headers) {
    switch (http::identify(name)) {
      case http::FieldId::host:
        if (!is_visible(value)) return refuse("the Host header holds no spaces");
        authority_ = value;
        continue;
      case http::FieldId::content_length:
      case http::FieldId::transfer_encoding:
        return refuse(name + " follows from the body; leave it out");
      case http::FieldId::expect:
        return refuse("Expect would wait for an answer before the body; leave it out");
      case http::FieldId::upgrade:
        return refuse("Upgrade would end HTTP on the connection; leave it out");
      default:
        break;
    }
    if (auto added = fields_.add_checked(name, value); !added) return added;
  }
  return {};
}

http::RequestMessage LoadTarget::message() const {
  http::RequestMessage message;
  message.head.method = method_;
  if (method_ == http::Method::other) message.head.method_text = method_text_;
  message.head.target = target_;
  message.head.authority = authority_;
  message.head.preset = &fields_;
  message.body = base::Bytes::borrowed(body_);
  return message;
}

}  // namespace millrace::lab
