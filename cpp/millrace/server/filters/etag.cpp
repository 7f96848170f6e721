#include "millrace/server/filters/etag.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "millrace/base/siphash.hpp"
#include "millrace/proto/http/answer_fields.hpp"
#include "millrace/proto/http/conditional.hpp"

namespace millrace::server {
namespace {

using base::ByteView;

struct TagRules {
  std::size_t most_bytes = 0;
  bool is_weak = false;
};

// What a 304 leaves out (RFC 9110 15.4.5): the client has it.
constexpr std::array<ByteView, 6> of_content{"content-type",        "content-encoding",
                                             "content-language",    "content-range",
                                             "content-disposition", "last-modified"};

// 64 bits of hash and the length: two bodies of one resource meet by chance in one of 10^19 cases.
// The key is fixed, so that all workers and restarts give the same body the same tag.
std::string tag_of(ByteView body, bool is_weak) {
  std::array<char, 40> text;
  auto* end = std::to_chars(text.begin(), text.end(), base::siphash(body, {}), 16).ptr;
  *end++ = '-';
  end = std::to_chars(end, text.end(), body.size(), 16).ptr;
  return (is_weak ? "W/\"" : "\"") + std::string(text.begin(), end) + '"';
}

void add_kept(http::Fields& to, const http::Fields& from) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto const is_named = [&](ByteView name) {
      return http::equals_ignoring_case(from.name(i), name);
    };
    if (std::ranges::none_of(of_content, is_named)) to.add(from.name(i), from.value(i));
  }
}

// Whether the request has one of If-None-Match's kind that names what we have.
bool has_already(const http::Head& request, const http::EntityTag& ours) {
  http::Validators const validators{.entity_tag = ours, .last_modified = 0};
  return request.find("if-none-match") && !request.find("if-match") &&
         http::evaluate(request, validators, 0) == http::Precondition::not_modified;
}

class Tags final : public conn::AnswerStep {
 public:
  explicit Tags(TagRules rules) : rules_(rules) {}

  void take(conn::Exchange& exchange, http::Part&& part) override {
    auto* const message = std::get_if<http::ResponseMessage>(&part);
    if (message && message->head.status == 200) tag(exchange.head, *message);
    pass_on(exchange, std::move(part));
  }

 private:
  void tag(const http::Head& request, http::ResponseMessage& message) const {
    auto& head = message.head;
    std::string text(http::find_field(head, "etag").value_or(ByteView{}));
    if (text.empty()) {
      if (message.body.size() > rules_.most_bytes) return;
      text = tag_of(message.body.view(), rules_.is_weak);
      head.fields.add("ETag", text);
    }
    auto const ours = http::read_entity_tag(text);
    if (!ours || !has_already(request, *ours)) return;
    http::Fields kept;
    if (head.preset) add_kept(kept, *head.preset);
    add_kept(kept, head.fields);
    message = {{.status = 304, .preset = nullptr, .fields = std::move(kept), .content_length = {}},
               {}};
  }

  TagRules rules_;
};

class ETag final : public Filter {
 public:
  explicit ETag(TagRules rules) : rules_(rules) {}

  Verdict on_request(conn::Exchange& exchange) override {
    auto const method = exchange.head.method();
    if (method == http::Method::get || method == http::Method::head)
      exchange.filtered().add_step(std::make_unique<Tags>(rules_));
    return Verdict::go_on;
  }

 private:
  TagRules rules_;
};

}  // namespace

base::Result<std::unique_ptr<Filter>> make_etag(Settings& settings) {
  TagRules const rules{.most_bytes = static_cast<std::size_t>(settings.number("bytes")),
                       .is_weak = settings.flag("weak")};
  return std::unique_ptr<Filter>(std::make_unique<ETag>(rules));
}

}  // namespace millrace::server
