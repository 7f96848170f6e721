#include "millrace/server/filters/trusted_hosts.hpp"

#include "millrace/proto/http/target.hpp"
#include "millrace/server/filters/host_pattern.hpp"

namespace millrace::server {
namespace {

class TrustedHosts final : public Filter {
 public:
  explicit TrustedHosts(std::vector<std::string> hosts) : hosts_(std::move(hosts)) {}

  Verdict on_request(conn::Exchange& exchange) override {
    auto host = http::host_in(exchange.head.authority());
    if (host.ends_with('.')) host.remove_suffix(1);  // the root of the DNS, rarely written
    if (fits_any(host, hosts_)) return Verdict::go_on;
    return refuse(exchange, 421, "This server does not answer for that host");
  }

 private:
  std::vector<std::string> hosts_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_trusted_hosts(Settings& settings) {
  return std::unique_ptr<Filter>(std::make_unique<TrustedHosts>(settings.list("hosts")));
}

}  // namespace millrace::server
