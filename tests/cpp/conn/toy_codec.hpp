// A protocol made for the tests: it multiplexes streams, keeps credit for each, and can switch to
// another protocol. If the pump and the exchange serve it as they serve HTTP/1.1, they know no HTTP
// version.
//
// On the wire, both ways: "H<stream> <target>\n" opens, "D<stream> <n>\n" and n bytes carry a body,
// "E<stream>\n" ends it, "S<stream> <status>\n" is an answer's head, "C<stream> <n>\n" tells the
// peer of credit, "X\n" ends the protocol: what follows belongs to the next one.
#pragma once
#include <charconv>
#include <deque>
#include <map>
#include <string>

#include "millrace/proto/codec.hpp"
#include "millrace/proto/http/target.hpp"

namespace millrace::toy {

class Codec final : public proto::Codec {
 public:
  base::Result<std::size_t> receive(base::ByteView bytes, base::Time) override {
    std::size_t taken = 0;
    while (!switched_ && taken < bytes.size()) {
      auto const rest = bytes.substr(taken);
      if (body_left_ > 0) {
        auto const n = std::min(body_left_, rest.size());
        hold(body_of_, rest.substr(0, n));
        body_left_ -= n;
        taken += n;
        continue;
      }
      auto const line_end = std::min(rest.find('\n'), rest.size());
      line_.append(rest.substr(0, line_end));
      taken += std::min(line_end + 1, rest.size());
      if (line_end < rest.size()) read_line(std::exchange(line_, {}));
    }
    return taken;
  }
  base::Status receive_eof(base::Time) override {
    closing_ = true;
    return {};
  }
  base::Status send(http::StreamId stream, http::Part&& part, base::Time) override {
    auto const id = std::to_string(stream);
    if (auto* message = std::get_if<http::ResponseMessage>(&part)) {
      say("S" + id + " " + std::to_string(message->head.status) + "\n");
      say_data(id, message->body.view());
      say("E" + id + "\n");
    } else if (auto* head = std::get_if<http::ResponseHead>(&part)) {
      say("S" + id + " " + std::to_string(head->status) + "\n");
    } else if (auto* data = std::get_if<http::Data>(&part)) {
      say_data(id, data->bytes.view());
    } else if (std::holds_alternative<http::End>(part)) {
      say("E" + id + "\n");
    } else if (auto* credit = std::get_if<http::Credit>(&part)) {
      streams_[stream].credit += credit->bytes;
      say("C" + id + " " + std::to_string(credit->bytes) + "\n");
      release(stream);
    } else if (std::holds_alternative<http::GoAway>(part)) {
      closing_ = true;
    }
    return {};
  }
  std::optional<http::Event> next_event() override {
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  std::size_t take_output(base::ByteChain& out) override {
    auto const size = output_.size();
    out.splice(output_);
    return size;
  }
  void output_waits(bool, base::Time) override {}
  base::Time deadline() const override { return INT64_MAX / 2; }
  base::Status tick(base::Time) override { return {}; }
  proto::Afterwards afterwards() const override {
    return switched_  ? proto::Afterwards::hand_over
           : closing_ ? proto::Afterwards::close
                      : proto::Afterwards::go_on;
  }

 private:
  struct Stream {
    std::string held;  // body bytes without credit
    std::size_t credit = 0;
    bool ended = false;
  };
  static http::StreamId stream_of(const std::string& line) {
    return static_cast<http::StreamId>(std::stoul(line.substr(1)));
  }

  void read_line(const std::string& line) {
    switch (line.empty() ? '?' : line[0]) {
      case 'H': {
        http::HeadBlockPtr block(http::HeadPool::take());
        block->bytes = line.substr(line.find(' ') + 1);
        block->target = {0, static_cast<std::uint32_t>(block->bytes.size())};
        block->method = http::Method::get;
        block->has_body = true;
        (void)http::read_target(*block);
        auto const stream = stream_of(line);
        streams_[stream];
        events_.push_back({stream, http::HeadReceived{http::Head(std::move(block)), false}});
        break;
      }
      case 'D':
        body_of_ = stream_of(line);
        body_left_ = std::stoul(line.substr(line.find(' ') + 1));
        break;
      case 'E':
        streams_[stream_of(line)].ended = true;
        release(stream_of(line));
        break;
      case 'X':
        switched_ = true;
        break;
      default:
        break;
    }
  }
  void hold(http::StreamId stream, base::ByteView bytes) {
    streams_[stream].held.append(bytes);
    release(stream);
  }
  void release(http::StreamId id) {
    auto& stream = streams_[id];
    auto const n = std::min(stream.credit, stream.held.size());
    if (n > 0) {
      events_.push_back(
          {id, http::Data{base::Bytes::copy_of(base::ByteView(stream.held).substr(0, n))}});
      stream.held.erase(0, n);
      stream.credit -= n;
    }
    if (stream.ended && stream.held.empty()) {
      stream.ended = false;
      events_.push_back({id, http::End{}});
    }
  }
  void say(const std::string& text) { output_.append(base::ByteView(text)); }
  void say_data(const std::string& id, base::ByteView bytes) {
    if (bytes.empty()) return;
    say("D" + id + " " + std::to_string(bytes.size()) + "\n");
    output_.append(bytes);
  }

  std::map<http::StreamId, Stream> streams_;
  std::deque<http::Event> events_;
  std::string line_;  // what has come of it so far
  http::StreamId body_of_ = 0;
  std::size_t body_left_ = 0;
  base::ByteChain output_;
  bool switched_ = false, closing_ = false;
};

}  // namespace millrace::toy
