#include "millrace/server/filters/request_id.hpp"

#include <algorithm>
#include <chrono>

#include "millrace/base/random.hpp"
#include "millrace/base/uuid.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::server {
namespace {

// Of an id that is taken over: enough for what others make of hashes, and no more for logs.
constexpr std::size_t most_bytes = 128;

bool is_well_formed(base::ByteView id) {
  auto const is_fine = [](char c) {
    auto const letter = http::lower(c);
    return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') ||
           base::ByteView("-_.~+/=:@").find(c) != base::ByteView::npos;
  };
  return !id.empty() && id.size() <= most_bytes && std::ranges::all_of(id, is_fine);
}

std::string make_id() {
  using namespace std::chrono;
  thread_local base::Random random(base::system_seed());  // each loop has a sequence of its own
  auto const since_1970 = system_clock::now().time_since_epoch();
  auto const unix_ms = duration_cast<milliseconds>(since_1970).count();
  auto const first = random.next();
  return base::uuid_v7(static_cast<std::uint64_t>(unix_ms), first, random.next());
}

class RequestId final : public Filter {
 public:
  RequestId(std::string header, bool is_trusted)
      : header_(std::move(header)),
        lower_case_(http::in_lower_case(header_)),
        is_trusted_(is_trusted) {}

  Verdict on_request(conn::Exchange& exchange) override {
    auto theirs = taken_over(exchange.head);
    auto const id = theirs ? std::move(*theirs) : make_id();
    exchange.head.remove(lower_case_);
    exchange.head.add(header_, id);
    exchange.filtered().defaults.add(header_, id);
    return Verdict::go_on;
  }

 private:
  std::optional<std::string> taken_over(const http::Head& head) const {
    auto const theirs = is_trusted_ ? head.find(lower_case_) : std::nullopt;
    return theirs && is_well_formed(*theirs) ? std::optional<std::string>(*theirs) : std::nullopt;
  }

  std::string header_, lower_case_;
  bool is_trusted_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_request_id(Settings& settings) {
  auto header = settings.text("header");
  if (!http::is_token(header))
    return base::failure(base::Errc::invalid_field, "RFC 9110 5.1", "field name '" + header + "'");
  return std::unique_ptr<Filter>(
      std::make_unique<RequestId>(std::move(header), settings.flag("trusted")));
}

}  // namespace millrace::server
