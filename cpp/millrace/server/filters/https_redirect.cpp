#include "millrace/server/filters/https_redirect.hpp"

#include "millrace/proto/http/target.hpp"

namespace millrace::server {
namespace {

// Path and query as they were sent: absolute-form (RFC 9112 3.2.2) has more before them.
std::string path_and_query(base::ByteView target) {
  if (target.starts_with('/')) return std::string(target);
  auto const authority = target.find("://") + 3;
  auto const end = target.find_first_of("/?", authority);
  if (end == target.npos) return "/";
  return (target[end] == '?' ? "/" : "") + std::string(target.substr(end));
}

class HTTPSRedirect final : public Filter {
 public:
  HTTPSRedirect(std::uint16_t status, std::int64_t port)
      : status_(status), port_(port == 443 ? "" : ":" + std::to_string(port)) {}

  Verdict on_request(conn::Exchange& exchange) override {
    auto const& head = exchange.head;
    // "*" and CONNECT name no resource that could be elsewhere.
    bool const names_resource = head.path().starts_with('/');
    if (exchange.is_secure() || !names_resource) return Verdict::go_on;
    auto const host = http::host_in(head.authority());
    if (host.empty()) return refuse(exchange, 400, "A redirect to HTTPS needs a Host field");
    http::Fields fields;
    fields.add("Location", "https://" + std::string(host) + port_ + path_and_query(head.target()));
    return answer(
        exchange,
        {.status = status_, .preset = nullptr, .fields = std::move(fields), .content_length = {}});
  }

 private:
  std::uint16_t status_;
  std::string port_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_https_redirect(Settings& settings) {
  auto const status = static_cast<std::uint16_t>(settings.number("status"));
  return std::unique_ptr<Filter>(std::make_unique<HTTPSRedirect>(status, settings.number("port")));
}

}  // namespace millrace::server
