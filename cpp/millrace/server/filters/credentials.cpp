#include "millrace/server/filters/credentials.hpp"

#include <algorithm>

namespace millrace::server {
namespace {

using base::ByteView;

// The time it takes tells the length of what was given, which its sender knows, and nothing of
// where it differs.
bool is_same(ByteView given, ByteView secret) {
  unsigned volatile difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    auto const other = secret[std::min(i, secret.size() - 1)];
    difference = difference | static_cast<unsigned char>(given[i] ^ other);
  }
  return difference == 0;
}

// What stands behind the scheme in the one Authorization field there is.
std::optional<ByteView> credentials_in(const http::Head& head, ByteView scheme) {
  std::optional<ByteView> found;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (!http::equals_ignoring_case(head.name(i), "authorization")) continue;
    if (found) return std::nullopt;  // which of them counts is not to be guessed
    found = head.value(i);
  }
  if (!found) return std::nullopt;
  auto const end = std::min(found->find(' '), found->size());
  if (!http::equals_ignoring_case(found->substr(0, end), scheme)) return std::nullopt;
  found->remove_prefix(std::min(found->find_first_not_of(' ', end), found->size()));
  return found;
}

class Credentials final : public Filter {
 public:
  Credentials(std::string scheme, std::vector<std::string> accepted)
      : scheme_(std::move(scheme)), accepted_(std::move(accepted)) {}

  void challenge(ByteView first, ByteView again) {
    for (auto* const fields : {&first_, &again_})
      fields->add("Content-Type", "text/plain; charset=utf-8");
    first_.add("WWW-Authenticate", first);
    again_.add("WWW-Authenticate", again);
  }

  Verdict on_request(conn::Exchange& exchange) override {
    auto const given = credentials_in(exchange.head, scheme_);
    bool is_known = false;
    if (given)
      for (auto const& secret : accepted_)  // all of them: how long it takes names none
        is_known |= is_same(*given, secret);
    if (is_known) return Verdict::go_on;
    exchange.home().counters().requests_denied.add();
    return answer(
        exchange,
        {.status = 401, .preset = given ? &again_ : &first_, .fields = {}, .content_length = {}},
        base::Bytes::borrowed("Unauthorized"));
  }

 private:
  std::string scheme_;
  std::vector<std::string> accepted_;  // none is empty
  http::Fields first_, again_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_credentials(Settings& settings) {
  auto accepted = settings.list("accepted");
  if (std::ranges::any_of(accepted, &std::string::empty))
    return base::failure(base::Errc::invalid_option, {}, "a credential is empty");
  auto made = std::make_unique<Credentials>(settings.text("scheme"), std::move(accepted));
  made->challenge(settings.text("challenge"), settings.text("challenge_again"));
  return std::unique_ptr<Filter>(std::move(made));
}

}  // namespace millrace::server
