#include "millrace/server/filters/compression_step.hpp"

#include <algorithm>
#include <utility>

#include "millrace/conn/exchange.hpp"
#include "millrace/proto/http/answer_fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::server {
namespace {

using base::ByteView;
using coding::Flush;
using http::Fields;
using http::ResponseHead;

// Calls `visit` with each value of a name; the preset's come first.
template <class Visit>
void for_each(const ResponseHead& head, ByteView lower_case_name, Visit visit) {
  for (auto const* fields : {head.preset, &head.fields})
    for (std::size_t i = 0; fields && i < fields->size(); ++i)
      if (http::equals_ignoring_case(fields->name(i), lower_case_name)) visit(fields->value(i));
}

bool lists(const ResponseHead& head, ByteView lower_case_name, ByteView lower_case_member) {
  bool found = false;
  for_each(head, lower_case_name,
           [&](ByteView value) { found = found || http::list_contains(value, lower_case_member); });
  return found;
}

bool is_type(ByteView type, ByteView pattern) {
  if (pattern.starts_with('+')) return type.ends_with(pattern);
  if (pattern.ends_with("/*")) return type.starts_with(pattern.substr(0, pattern.size() - 1));
  return type == pattern;
}

bool has_type_of(const ResponseHead& head, const std::vector<std::string>& patterns) {
  std::string type;
  for_each(head, "content-type",
           [&](ByteView value) { type = http::trimmed(value.substr(0, value.find(';'))); });
  type = http::in_lower_case(type);
  return std::ranges::any_of(patterns, [&](auto const& one) { return is_type(type, one); });
}

// Says that other clients may get the answer in another coding (RFC 9110 12.5.5).
void add_vary(ResponseHead& head) {
  if (lists(head, "vary", "accept-encoding") || lists(head, "vary", "*")) return;
  head.fields.add("Vary", "Accept-Encoding");
}

// RFC 9110 8.8.3: a strong tag names bytes, and these are others now. RFC 9110 8.8.1: a weak one
// names what they mean.
void weaken_tag(ResponseHead& head) {
  std::string strong;
  for_each(head, "etag", [&](ByteView value) {
    if (!value.starts_with("W/")) strong = value;
  });
  if (strong.empty()) return;
  Fields kept;
  for (auto const* fields : {head.preset, &std::as_const(head).fields})
    for (std::size_t i = 0; fields && i < fields->size(); ++i)
      if (!http::equals_ignoring_case(fields->name(i), "etag"))
        kept.add(fields->name(i), fields->value(i));
  kept.add("ETag", "W/" + strong);
  head.preset = nullptr;
  head.fields = std::move(kept);
}

void announce(ResponseHead& head, coding::Coding coding) {
  weaken_tag(head);
  head.fields.add("Content-Encoding", coding::name_of(coding));
  head.content_length.reset();
}

class CompressionStep final : public conn::AnswerStep {
 public:
  CompressionStep(const CompressionRules& rules, const coding::EncoderOptions* wanted)
      : rules_(rules), wanted_(wanted) {}

  void take(conn::Exchange& exchange, http::Part&& part) override {
    if (auto* message = std::get_if<http::ResponseMessage>(&part)) {
      take_message(exchange, *message);
    } else if (auto* head = std::get_if<ResponseHead>(&part)) {
      if (head->status >= 200 && wants(*head, head->content_length)) begin(exchange, *head);
    } else if (auto* data = std::get_if<http::Data>(&part); data && encoder_) {
      if (data->bytes.empty()) return;
      data->bytes = encode(exchange, data->bytes.view(), Flush::piece);
    } else if (std::holds_alternative<http::End>(part) && encoder_) {
      pass_on(exchange, http::Data{encode(exchange, {}, Flush::end)});
      encoder_.reset();
    } else if (auto* chained = std::get_if<http::ChainedResponse>(&part)) {
      take_chain(exchange, part, *chained);
      return;
    } else if (std::holds_alternative<http::Reset>(part)) {
      encoder_.reset();
    }
    pass_on(exchange, std::move(part));
  }

 private:
  // Whether this answer is to be compressed; what caches have to know is said either way.
  bool wants(ResponseHead& head, std::optional<std::uint64_t> size) const {
    if (head.status == 304) add_vary(head);  // RFC 9110 15.4.5: as a 200 would
    if (!may_be_compressed(head, size, rules_)) return false;
    add_vary(head);
    return wanted_ && (rules_.with_credentials || !http::find_field(head, "set-cookie"));
  }

  void begin(conn::Exchange& exchange, ResponseHead& head) {
    encoder_.reset(coding::EncoderPool::take(*wanted_));
    announce(head, wanted_->coding);
    exchange.home().counters().answers_compressed.add();
  }

  void take_message(conn::Exchange& exchange, http::ResponseMessage& message) {
    if (!wants(message.head, message.body.size())) return;
    encoder_.reset(coding::EncoderPool::take(*wanted_));
    encoder_->expect(message.body.size());
    auto coded = encode(exchange, message.body.view(), Flush::end);
    encoder_.reset();
    if (coded.size() >= message.body.size()) return;
    message.body = std::move(coded);
    announce(message.head, wanted_->coding);
    exchange.home().counters().answers_compressed.add();
  }

  // Files go out by sendfile, as they are: what is worth compressing lies beside them compressed.
  void take_chain(conn::Exchange& exchange, http::Part& part, http::ChainedResponse& chained) {
    auto& [head, body] = chained;
    for (std::size_t i = 0; i < body.segments(); ++i)
      if (body.file_at(i)) return pass_on(exchange, std::move(part));
    http::ResponseMessage whole(std::move(head), base::Bytes::from(body.to_string()));
    take_message(exchange, whole);
    pass_on(exchange, std::move(whole));
  }

  base::Bytes encode(conn::Exchange& exchange, ByteView bytes, Flush flush) {
    std::string out;
    encoder_->encode(bytes, flush, out);
    auto& counters = exchange.home().counters();
    counters.compression_bytes_in.add(bytes.size());
    counters.compression_bytes_out.add(out.size());
    return base::Bytes::from(std::move(out));
  }

  const CompressionRules& rules_;
  const coding::EncoderOptions* wanted_;
  coding::EncoderPtr encoder_;  // while an answer is under way
};

}  // namespace

bool may_be_compressed(const ResponseHead& head, std::optional<std::uint64_t> size,
                       const CompressionRules& rules) {
  if (head.status < 200 || head.status == 204 || head.status == 205 || head.status == 304)
    return false;
  if (size && *size < rules.minimum_bytes) return false;
  // A range is one of the bytes as they are; and who frames an answer knows them.
  for (ByteView const name :
       {"content-encoding", "content-range", "accept-ranges", "transfer-encoding"})
    if (http::find_field(head, name)) return false;
  if (lists(head, "cache-control", "no-transform")) return false;  // RFC 9111 5.2.2.6
  return has_type_of(head, rules.content_types);
}

std::unique_ptr<conn::AnswerStep> make_compression_step(const CompressionRules& rules,
                                                        const coding::EncoderOptions* wanted) {
  return std::make_unique<CompressionStep>(rules, wanted);
}

}  // namespace millrace::server
