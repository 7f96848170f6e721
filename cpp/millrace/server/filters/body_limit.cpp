#include "millrace/server/filters/body_limit.hpp"

namespace millrace::server {
namespace {

class BodyLimit final : public Filter {
 public:
  explicit BodyLimit(std::size_t bytes) : bytes_(bytes) {}
  // Kept by those who read the body: where it starts, and as it comes.
  Verdict on_request(conn::Exchange& exchange) override {
    exchange.filtered().body_bytes = bytes_;
    return Verdict::go_on;
  }

 private:
  std::size_t bytes_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_body_limit(Settings& settings) {
  auto const bytes = static_cast<std::size_t>(settings.number("bytes"));
  return std::unique_ptr<Filter>(std::make_unique<BodyLimit>(bytes));
}

}  // namespace millrace::server
