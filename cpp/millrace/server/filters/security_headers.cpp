#include "millrace/server/filters/security_headers.hpp"

namespace millrace::server {
namespace {

using http::Fields;

class SecurityHeaders final : public Filter {
 public:
  SecurityHeaders(Fields always, Fields secure)
      : always_(std::move(always)), secure_(std::move(secure)) {}

  Verdict on_request(conn::Exchange& exchange) override {
    auto& filtered = exchange.filtered();
    add_all(filtered.defaults, always_);
    if (filtered.is_secure) add_all(filtered.defaults, secure_);
    return Verdict::go_on;
  }

 private:
  static void add_all(Fields& to, const Fields& from) {
    for (std::size_t i = 0; i < from.size(); ++i) to.add(from.name(i), from.value(i));
  }

  Fields always_, secure_;
};

base::Status add_pairs(Fields& to, const std::vector<std::string>& names,
                       const std::vector<std::string>& values) {
  for (std::size_t i = 0; i < std::min(names.size(), values.size()); ++i)
    if (auto status = to.add_checked(names[i], values[i]); !status) return status;
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Filter>> make_security_headers(Settings& settings) {
  Fields always, secure;
  if (auto status = add_pairs(always, settings.list("names"), settings.list("values")); !status)
    return status;
  if (auto status =
          add_pairs(secure, settings.list("secure_names"), settings.list("secure_values"));
      !status)
    return status;
  return std::unique_ptr<Filter>(
      std::make_unique<SecurityHeaders>(std::move(always), std::move(secure)));
}

}  // namespace millrace::server
