// A stand-in for the owner of a codec: keeps bytes that were not consumed, drains events, collects
// output, and lets a small application answer. What happened is told as text, so that tests compare
// conversations.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/proto/codec.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http1/codec.hpp"

namespace millrace::test {

using base::ByteView;

inline const http::Limits default_limits{};

inline std::string describe_head(const http::Head& head) {
  std::string text;
  if (head.status() != 0) {
    text = std::to_string(head.status()) + ' ' + std::string(head.reason());
  } else {
    text = std::string(head.method_text()) + ' ' + std::string(head.path());
    if (!head.query().empty()) text += '?' + std::string(head.query());
    text += " @" + std::string(head.authority());
  }
  if (head.version_minor() == 0) text += " 1.0";
  if (head.content_length()) text += " length=" + std::to_string(*head.content_length());
  if (head.has_body()) text += " body";
  if (head.expects_continue()) text += " expects";
  if (head.wants_upgrade()) text += " upgrade";
  if (!head.keep_alive()) text += " last";
  for (std::size_t i = 0; i < head.size(); ++i)
    if (head.id(i) == http::FieldId::other)
      text += " {" + std::string(head.name(i)) + '=' + std::string(head.value(i)) + '}';
  return text;
}

class Owner {
 public:
  using Application = std::function<void(Owner&, const http::Event&)>;

  Owner(proto::Side side, Application application, const http::Limits& limits = default_limits,
        const http::DateField* date = nullptr)
      : codec(http1::make_codec(side, limits, date, 0)), application_(std::move(application)) {}

  // What the peer sends. Bytes the codec does not take are kept and offered again.
  void feed(ByteView bytes) {
    pending.append(bytes);
    offer();
  }
  void feed_eof() {
    note(codec->receive_eof(now));
    settle();
  }
  void tick_at(base::Time time) {
    now = time;
    note(codec->tick(now));
    settle();
  }
  base::Status send(http::StreamId stream, http::Part part) {
    auto status = codec->send(stream, std::move(part), now);
    was_sent_ = true;
    settle();
    return status;
  }
  // For tests of what must succeed.
  void say(http::StreamId stream, http::Part part) {
    if (auto status = send(stream, std::move(part)); !status)
      events += "(refused: " + status.error().message() + ")\n";
  }

  bool has_failed() const { return error.has_value(); }
  std::string take_output() { return std::exchange(output, {}); }
  std::string take_events() { return std::exchange(events, {}); }

  std::unique_ptr<proto::Codec> codec;
  base::Time now = 0;
  std::string pending;  // not consumed so far
  std::string events;
  std::string output;
  std::string refused;  // stream, status and start line, as far as it was read
  std::optional<base::Error> error;

 private:
  void offer() {
    if (std::exchange(offering_, true)) return;
    while (!pending.empty() && !error) {
      was_sent_ = false;
      auto taken = codec->receive(pending, now);
      if (!taken) error = taken.take_error();
      std::size_t const n = error ? 0 : *taken;
      pending.erase(0, n);
      drain();
      if (n == 0 && !was_sent_) break;
      if (codec->afterwards() == proto::Afterwards::hand_over) break;
    }
    offering_ = false;
  }
  void settle() {
    drain();
    if (!pending.empty()) offer();
  }
  void note(base::Status status) {
    if (!status && !error) error = status.take_error();
  }
  void drain() {
    if (!std::exchange(
            draining_,
            true)) {  // what the application says from within is drained by the outer loop
      while (auto event = codec->next_event()) {
        tell(*event);
        if (application_) application_(*this, *event);
      }
      draining_ = false;
    }
    base::ByteChain out;
    codec->take_output(out);
    output += out.to_string();
  }
  void tell(const http::Event& event) {
    auto const stream = std::to_string(event.stream);
    if (auto const* head = std::get_if<http::HeadReceived>(&event.what)) {
      events += stream + ' ' + describe_head(head->head) + (head->ends_stream ? " end" : "") + '\n';
    } else if (auto const* data = std::get_if<http::Data>(&event.what)) {
      // Runs of data are one line, however they were cut.
      auto const line = stream + " data ";
      auto const last = events.rfind(line);
      if (last == std::string::npos || events.find('\n', last) != events.size() - 1)
        events += line + '\n';
      events.insert(events.size() - 1, data->bytes.view());
    } else if (auto const* end = std::get_if<http::End>(&event.what)) {
      events += stream + " end";
      for (std::size_t i = 0; i < end->trailers.size(); ++i)
        events += " {" + std::string(end->trailers.name(i)) + '=' +
                  std::string(end->trailers.value(i)) + '}';
      events += '\n';
    } else if (auto const* refusal = std::get_if<http::Refused>(&event.what)) {
      refused = stream + ' ' + std::to_string(refusal->status) + ' ' +
                std::string(refusal->head ? refusal->head.start_line() : "nothing");
    } else {
      events += stream + " other\n";
    }
  }

  Application application_;
  bool offering_ = false;
  bool draining_ = false;
  bool was_sent_ = false;
};

inline http::ResponseMessage response(std::uint16_t status, std::string body,
                                      http::Fields fields = {}) {
  return {{.status = status, .preset = nullptr, .fields = std::move(fields), .content_length = {}},
          base::Bytes::from(std::move(body))};
}
inline http::Data data(std::string text) { return {base::Bytes::from(std::move(text))}; }
inline http::Credit unlimited() { return {std::size_t{1} << 40}; }

// Reads every body to its end, then answers 200 with the stream's number.
inline void answer_all(Owner& owner, const http::Event& event) {
  bool is_over = std::holds_alternative<http::End>(event.what);
  if (auto const* head = std::get_if<http::HeadReceived>(&event.what)) {
    is_over = head->ends_stream;
    if (!is_over) owner.say(event.stream, unlimited());
  }
  if (is_over) owner.say(event.stream, response(200, "answer " + std::to_string(event.stream)));
}

// Every way to cut a text in two, the whole and single bytes included.
inline std::vector<std::vector<ByteView>> cuts(ByteView text) {
  std::vector<std::vector<ByteView>> all;
  for (std::size_t at = 0; at <= text.size(); ++at)
    all.push_back({text.substr(0, at), text.substr(at)});
  std::vector<ByteView> bytes;
  for (std::size_t at = 0; at < text.size(); ++at) bytes.push_back(text.substr(at, 1));
  all.push_back(std::move(bytes));
  return all;
}

inline std::string where(const std::vector<ByteView>& cut) {
  return cut.size() == 2 ? "cut at " + std::to_string(cut.front().size()) : "byte by byte";
}

}  // namespace millrace::test
