#include "millrace/server/filters/rate_limit.hpp"

#include <cmath>

#include "millrace/base/random.hpp"
#include "millrace/base/siphash.hpp"
#include "millrace/net/address_range.hpp"
#include "millrace/proto/http/text.hpp"
#include "millrace/server/filters/token_buckets.hpp"

namespace millrace::server {
namespace {

using base::ByteView;

constexpr ByteView header_prefix = "header:";

// Those of a Unix socket are one client.
std::string bytes_of(const net::Endpoint& client) {
  auto const customer = net::customer_of(client);
  return customer ? std::string(reinterpret_cast<const char*>(&*customer), sizeof *customer)
                  : "unix";
}

std::int64_t whole_seconds(base::Duration duration) {
  return (duration + base::seconds(1) - 1) / base::seconds(1);
}

struct RateRules {
  TokenBuckets::Rule rule;
  std::string header;  // in lower case; empty: no key by a field
  bool everyone = false, tells = false;
};

class RateLimit final : public Filter {
 public:
  explicit RateLimit(RateRules rules) : rules_(std::move(rules)), buckets_(rules_.rule) {
    auto const& rule = rules_.rule;
    policy_ = "\"default\";q=" + std::to_string(rule.burst) +
              ";w=" + std::to_string(whole_seconds(rule.burst * rule.interval));
  }

  Verdict on_request(conn::Exchange& exchange) override {
    auto const outcome = buckets_.take(key_of(exchange), exchange.home().now());
    if (rules_.tells) tell(exchange, outcome);
    if (outcome.is_granted) return Verdict::go_on;
    exchange.home().counters().requests_limited.add();
    http::Fields fields{{"Content-Type", "text/plain; charset=utf-8"}};
    fields.add("Retry-After", std::to_string(whole_seconds(outcome.next_in)));
    return answer(
        exchange,
        {.status = 429, .preset = nullptr, .fields = std::move(fields), .content_length = {}},
        base::Bytes::borrowed("Too Many Requests"));
  }

 private:
  std::uint64_t key_of(const conn::Exchange& exchange) const {
    if (rules_.everyone) return 0;
    if (!rules_.header.empty())
      if (auto const value = exchange.head.find(rules_.header))
        return base::siphash("header:" + std::string(*value), secret_);
    return base::siphash(bytes_of(exchange.client()), secret_);
  }

  void tell(conn::Exchange& exchange, const TokenBuckets::Outcome& outcome) const {
    auto& fields = exchange.filtered().defaults;
    fields.add("RateLimit-Policy", policy_);
    fields.add("RateLimit", "\"default\";r=" + std::to_string(outcome.left) +
                                ";t=" + std::to_string(whole_seconds(outcome.full_in)));
  }

  RateRules rules_;
  TokenBuckets buckets_;
  base::SipKey secret_{base::system_seed(), base::system_seed()};
  std::string policy_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_rate_limit(Settings& settings) {
  auto const rate = settings.real("rate");
  auto const burst = settings.number("burst");
  // A burst is worth a year at most, so that its length in nanoseconds can be told.
  constexpr double year = 366.0 * 86'400;
  if (!(rate > 0) || rate > 1e9 || burst < 1 || static_cast<double>(burst) / rate > year)
    return base::failure(base::Errc::invalid_option, {},
                         "a rate is above 0, a burst at least 1 and no longer than a year");
  RateRules rules{.rule = {.interval = std::llround(1e9 / rate),
                           .burst = burst,
                           .most_keys = static_cast<std::size_t>(settings.number("keys"))},
                  .header = {},
                  .everyone = false,
                  .tells = settings.flag("fields")};
  auto const key = settings.text("key");
  rules.everyone = key == "everyone";
  if (key.starts_with(header_prefix)) {
    rules.header = http::in_lower_case(key.substr(header_prefix.size()));
  }
  return std::unique_ptr<Filter>(std::make_unique<RateLimit>(std::move(rules)));
}

}  // namespace millrace::server
