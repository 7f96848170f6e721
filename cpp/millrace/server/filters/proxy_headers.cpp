#include "millrace/server/filters/proxy_headers.hpp"

#include <algorithm>

#include "millrace/net/address_range.hpp"
#include "millrace/proto/http/forwarded.hpp"
#include "millrace/proto/http/target.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::server {
namespace {

using base::ByteView;
using net::Endpoint;

// Who may speak for others.
class Trust {
 public:
  static base::Result<Trust> of(const std::vector<std::string>& names) {
    Trust trust;
    for (auto const& name : names) {
      if (name == "*" || name == "unix") {
        trust.unix_ = true;
        trust.everybody_ = trust.everybody_ || name == "*";
        continue;
      }
      auto range = net::AddressRange::parse(name);
      if (!range) return range.take_status();
      trust.ranges_.push_back(*range);
    }
    return trust;
  }
  bool holds(const Endpoint& endpoint) const {
    if (everybody_) return true;
    if (endpoint.is_unix()) return unix_;
    return std::ranges::any_of(ranges_,
                               [&](const auto& range) { return range.contains(endpoint); });
  }

 private:
  std::vector<net::AddressRange> ranges_;
  bool unix_ = false, everybody_ = false;
};

// The members of all lines of a field, in their order.
std::vector<std::string> members_of(const http::Head& head, ByteView lower_case_name) {
  std::vector<std::string> members;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (!http::equals_ignoring_case(head.name(i), lower_case_name)) continue;
    for (auto list = head.value(i); !list.empty();)
      if (auto const member = http::take_member(list); !member.empty())
        members.emplace_back(member);
  }
  return members;
}

// The three lists as what each proxy would have said with Forwarded. They are as long as one
// another where each proxy appends to all of them; one that sets a field anew leaves one member,
// which then counts for every hop.
std::vector<http::ForwardedHop> x_forwarded_hops(const http::Head& head) {
  auto const clients = members_of(head, "x-forwarded-for");
  auto const schemes = members_of(head, "x-forwarded-proto");
  auto const hosts = members_of(head, "x-forwarded-host");
  std::vector<http::ForwardedHop> hops(
      std::max({clients.size(), std::min<std::size_t>(schemes.size(), 1),
                std::min<std::size_t>(hosts.size(), 1)}));
  auto const from_the_right = [](const std::vector<std::string>& list, std::size_t i) {
    return list.empty() ? std::string() : list[list.size() - 1 - std::min(i, list.size() - 1)];
  };
  for (std::size_t i = 0; i < hops.size(); ++i) {
    auto& hop = hops[hops.size() - 1 - i];
    if (!clients.empty()) hop.for_node = from_the_right(clients, i);
    hop.proto = from_the_right(schemes, i);
    hop.host = from_the_right(hosts, i);
  }
  return hops;
}

std::optional<std::vector<http::ForwardedHop>> forwarded_hops(const http::Head& head) {
  std::string field;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (!http::equals_ignoring_case(head.name(i), "forwarded")) continue;
    if (!field.empty()) field += ',';
    field += head.value(i);
  }
  return http::read_forwarded(field);
}

// RFC 3986 3.1; also the names that some proxies have for a WebSocket's.
std::optional<bool> is_secure_scheme(ByteView scheme) {
  if (http::equals_ignoring_case(scheme, "https") || http::equals_ignoring_case(scheme, "wss"))
    return true;
  if (http::equals_ignoring_case(scheme, "http") || http::equals_ignoring_case(scheme, "ws"))
    return false;
  return std::nullopt;
}

class ProxyHeaders final : public Filter {
 public:
  ProxyHeaders(Trust trust, bool by_forwarded, bool takes_host)
      : trust_(std::move(trust)), by_forwarded_(by_forwarded), takes_host_(takes_host) {}

  Verdict on_request(conn::Exchange& exchange) override {
    if (!trust_.holds(exchange.peer())) return Verdict::go_on;
    auto const hops = by_forwarded_ ? forwarded_hops(exchange.head)
                                    : std::optional(x_forwarded_hops(exchange.head));
    if (!hops || !believe(exchange, *hops)) exchange.home().counters().forwarded_malformed.add();
    return Verdict::go_on;
  }

 private:
  // From the nearest proxy on, as long as it is a trusted one that speaks. False: some of it cannot
  // be read; what lies nearer counts.
  bool believe(conn::Exchange& exchange, const std::vector<http::ForwardedHop>& hops) const {
    auto& filtered = exchange.filtered();
    bool is_readable = true;
    std::string host;
    Endpoint speaker = exchange.peer();
    for (auto hop = hops.rbegin(); hop != hops.rend() && trust_.holds(speaker); ++hop) {
      if (!hop->proto.empty()) {
        auto const is_secure = is_secure_scheme(hop->proto);
        is_readable = is_readable && is_secure;
        if (is_secure) filtered.is_secure = *is_secure;
      }
      if (!hop->host.empty()) host = hop->host;
      if (hop->for_node.empty()) break;
      auto const node = http::read_forwarded_node(hop->for_node);
      if (node && node->address.empty()) break;  // kept back: nobody knows who spoke before
      auto const client = node ? Endpoint::of_address(node->address, node->port) : std::nullopt;
      is_readable = is_readable && client;
      if (!client) break;
      filtered.client = speaker = *client;
    }
    if (!takes_host_ || host.empty()) return is_readable;
    if (!http::is_authority(host)) return false;
    exchange.head.set_authority(host);
    return is_readable;
  }

  Trust trust_;
  bool by_forwarded_, takes_host_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_proxy_headers(Settings& settings) {
  auto trust = Trust::of(settings.list("trusted"));
  if (!trust) return trust.take_status();
  return std::unique_ptr<Filter>(std::make_unique<ProxyHeaders>(
      std::move(*trust), settings.flag("forwarded"), settings.flag("host")));
}

}  // namespace millrace::server
