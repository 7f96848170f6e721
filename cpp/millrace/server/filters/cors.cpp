#include "millrace/server/filters/cors.hpp"

#include "millrace/server/filters/host_pattern.hpp"

namespace millrace::server {
namespace {

using base::ByteView;

struct CorsRules {
  std::vector<std::string> origins;
  bool any_origin = false, credentials = false;
  std::string methods, headers, exposed, max_age;
};

class CORS final : public Filter {
 public:
  explicit CORS(CorsRules rules) : rules_(std::move(rules)) {}

  Verdict on_request(conn::Exchange& exchange) override {
    auto const& head = exchange.head;
    auto const origin = head.find("origin");
    bool const is_allowed = origin && (rules_.any_origin || fits_any(*origin, rules_.origins));
    auto& filtered = exchange.filtered();
    // Caches have to know, also where the request has no Origin: the next one may ("CORS protocol
    // and HTTP caches").
    if (!rules_.any_origin) filtered.additions.add("Vary", "Origin");
    if (is_allowed) allow(filtered.defaults, rules_.any_origin ? "*" : *origin);
    auto const wanted_method = head.find("access-control-request-method");
    if (origin && wanted_method && head.method() == http::Method::options)
      return is_allowed ? answer_preflight(exchange, *wanted_method)
                        : refuse(exchange, 403, "This origin is not allowed");
    if (is_allowed && !rules_.exposed.empty())
      filtered.defaults.add("Access-Control-Expose-Headers", rules_.exposed);
    return Verdict::go_on;
  }

 private:
  void allow(http::Fields& fields, ByteView origin) const {
    fields.add("Access-Control-Allow-Origin", origin);
    if (rules_.credentials) fields.add("Access-Control-Allow-Credentials", "true");
  }

  // Whether the method and the headers are among them is for the browser to see. With credentials
  // "*" would mean a field of that name, so what was asked for is repeated instead.
  Verdict answer_preflight(conn::Exchange& exchange, ByteView wanted_method) const {
    auto const wanted_headers = exchange.head.find("access-control-request-headers");
    http::Fields fields;
    fields.add("Access-Control-Allow-Methods",
               rules_.methods == "*" ? wanted_method : ByteView(rules_.methods));
    auto const headers =
        rules_.headers == "*" ? wanted_headers.value_or("") : ByteView(rules_.headers);
    if (!headers.empty()) fields.add("Access-Control-Allow-Headers", headers);
    fields.add("Access-Control-Max-Age", rules_.max_age);
    return answer(
        exchange,
        {.status = 204, .preset = nullptr, .fields = std::move(fields), .content_length = {}});
  }

  CorsRules rules_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_cors(Settings& settings) {
  CorsRules rules{.origins = settings.list("origins"),
                  .any_origin = settings.flag("any_origin"),
                  .credentials = settings.flag("credentials"),
                  .methods = settings.text("methods"),
                  .headers = settings.text("headers"),
                  .exposed = settings.text("exposed"),
                  .max_age = settings.text("max_age")};
  if (rules.any_origin && rules.credentials)
    return base::failure(base::Errc::invalid_option, {},
                         "credentials need origins by name, not '*'");
  return std::unique_ptr<Filter>(std::make_unique<CORS>(std::move(rules)));
}

}  // namespace millrace::server
