#include "millrace/server/filters/filters.hpp"

#include <algorithm>
#include <array>

#include "millrace/server/filters/body_limit.hpp"
#include "millrace/server/filters/compression.hpp"
#include "millrace/server/filters/cors.hpp"
#include "millrace/server/filters/credentials.hpp"
#include "millrace/server/filters/etag.hpp"
#include "millrace/server/filters/https_redirect.hpp"
#include "millrace/server/filters/proxy_headers.hpp"
#include "millrace/server/filters/rate_limit.hpp"
#include "millrace/server/filters/request_id.hpp"
#include "millrace/server/filters/security_headers.hpp"
#include "millrace/server/filters/trusted_hosts.hpp"

namespace millrace::server {
namespace {

using base::Errc;

struct Kind {
  std::string_view name;
  base::Result<std::unique_ptr<Filter>> (*make)(Settings& settings);
};

constexpr std::array kinds{
    Kind{"body_limit", make_body_limit},
    Kind{"compression", make_compression},
    Kind{"cors", make_cors},
    Kind{"credentials", make_credentials},
    Kind{"etag", make_etag},
    Kind{"https_redirect", make_https_redirect},
    Kind{"proxy_headers", make_proxy_headers},
    Kind{"rate_limit", make_rate_limit},
    Kind{"request_id", make_request_id},
    Kind{"security_headers", make_security_headers},
    Kind{"trusted_hosts", make_trusted_hosts},
};

// `prefix` ends at a segment's end.
bool is_below(base::ByteView path, base::ByteView prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

base::Result<Filters> Filters::make(const std::vector<FilterRow>& rows) {
  Filters filters;
  for (auto const& row : rows) {
    auto const* const kind = std::ranges::find(kinds, row.kind, &Kind::name);
    if (kind == kinds.end())
      return base::failure(Errc::invalid_option, {}, "there is no filter '" + row.kind + "'");
    auto settings = row.settings;
    auto made = kind->make(settings);
    // A setting that is missing explains best what the filter could not make of it.
    if (auto status = settings.problem(); !status) return status;
    if (!made) return made.take_status();
    filters.placed_.push_back({row.prefix, std::move(*made)});
  }
  return filters;
}

Filter::Verdict Filters::on_request(conn::Exchange& exchange) const {
  for (auto const& [prefix, filter] : placed_) {
    // Looked up each time: a filter may have added to the head.
    if (!prefix.empty() && !is_below(exchange.head.path(), prefix)) continue;
    if (filter->on_request(exchange) == Filter::Verdict::answered) return Filter::Verdict::answered;
  }
  return Filter::Verdict::go_on;
}

}  // namespace millrace::server
