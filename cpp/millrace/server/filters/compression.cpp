#include "millrace/server/filters/compression.hpp"

#include "millrace/proto/http/accept_encoding.hpp"
#include "millrace/server/filters/compression_step.hpp"

namespace millrace::server {
namespace {

using base::ByteView;
using base::Errc;
using coding::EncoderOptions;

class Compression final : public Filter {
 public:
  Compression(CompressionRules rules, std::vector<EncoderOptions> encoders)
      : rules_(std::move(rules)), encoders_(std::move(encoders)) {
    for (auto const& encoder : encoders_) names_.push_back(coding::name_of(encoder.coding));
  }

  // A client that wants none has a step as well: caches have to know that others may.
  Verdict on_request(conn::Exchange& exchange) override {
    auto const& head = exchange.head;
    bool const is_secret = head.find("cookie") || head.find("authorization");
    EncoderOptions const* wanted = nullptr;
    if (auto const chosen = http::choose_coding(head, names_)) wanted = &encoders_[*chosen];
    if (is_secret && !rules_.with_credentials) wanted = nullptr;
    exchange.filtered().add_step(make_compression_step(rules_, wanted));
    return Verdict::go_on;
  }

 private:
  CompressionRules rules_;
  std::vector<EncoderOptions> encoders_;
  std::vector<ByteView> names_;
};

base::Status wrong(std::string detail) {
  return base::failure(Errc::invalid_option, {}, std::move(detail));
}

}  // namespace

base::Result<std::unique_ptr<Filter>> make_compression(Settings& settings) {
  std::vector<EncoderOptions> encoders;
  for (auto const& name : settings.list("codings")) {
    auto const coding = coding::coding_named(name);
    // deflate is left out: what is meant by it is not certain, and gzip is as good.
    if (!coding || *coding == coding::Coding::deflate)
      return wrong("codings: '" + name + "' is none of zstd, br and gzip");
    auto const setting = std::string(coding::name_of(*coding)) + "_level";
    auto const level = settings.number(setting);
    auto const [least, most] = coding::levels_of(*coding);
    if (level < least || level > most)
      return wrong(setting + "=" + std::to_string(level) + ": a level of " + name + " is " +
                   std::to_string(least) + " to " + std::to_string(most));
    encoders.push_back({*coding, static_cast<int>(level)});
  }
  if (encoders.empty()) return wrong("codings: name at least one of zstd, br and gzip");
  auto const minimum = settings.number("minimum_bytes");
  if (minimum < 0) return wrong("minimum_bytes: a size is not below 0");
  CompressionRules rules{static_cast<std::size_t>(minimum), settings.list("content_types"),
                         settings.flag("with_credentials")};
  return std::unique_ptr<Filter>(
      std::make_unique<Compression>(std::move(rules), std::move(encoders)));
}

}  // namespace millrace::server
