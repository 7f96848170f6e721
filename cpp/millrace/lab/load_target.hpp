// The request that a load run sends again and again, made ready once.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "millrace/lab/load_options.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/proto/http/message.hpp"

namespace millrace::lab {

struct Url {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 80;
  std::string authority;     // host and port as the URL had them: the Host field
  std::string target = "/";  // path and query
};

// "http://host[:port][/path][?query]". Errc::invalid_option with a sentence for anything else.
base::Result<Url> parse_url(std::string_view text);

// Read by all threads of a run, which it outlives.
class LoadTarget {
 public:
  // Looks the name up, which blocks.
  static base::Result<LoadTarget> make(std::string_view url, const LoadRequest& request);

  // Where to connect to, in the resolver's order; never empty.
  const std::vector<net::Endpoint>& endpoints() const { return endpoints_; }
  // One more request. It refers to this object's fields and body.
  http::RequestMessage message() const;

 private:
  base::Status take_headers(const LoadRequest& request);

  std::vector<net::Endpoint> endpoints_;
  http::Method method_ = http::Method::get;
  std::string method_text_;  // only where the method has no name of its own
  std::string target_;
  std::string authority_;
  http::Fields fields_;
  std::string body_;
};

}  // namespace millrace::lab
