// Both sides of the HTTP/1.1 codec on arbitrary bytes, cut arbitrarily.
//
// An input is two bytes of choices and then what the peer sends:
//   byte 0  bit 0: side (0 server); bits 1-2: how the application behaves; bits 3-4: what a client
//   asks; bit 5: end of
//           stream behind the last byte; bit 6: tight limits; bit 7: go away half-way
//   byte 1  seed of the cuts and of the credit
// A broken promise of codec.hpp aborts.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "millrace/base/random.hpp"
#include "millrace/proto/http1/codec.hpp"

namespace {

using namespace millrace;
using base::ByteView;
using proto::Afterwards;
using proto::Side;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

enum class Behaviour : std::uint8_t {
  reads_then_answers,
  answers_at_once,
  streams,
  trickles_credit
};

struct Choices {
  Side side;
  Behaviour behaviour;
  std::uint8_t asks;
  bool ends;
  bool is_tight;
  bool goes_away;
  std::uint8_t seed;

  Choices(std::uint8_t first, std::uint8_t second)
      : side((first & 1) != 0 ? Side::client : Side::server),
        behaviour(static_cast<Behaviour>(first >> 1 & 3)),
        asks(first >> 3 & 3),
        ends((first & 32) != 0),
        is_tight((first & 64) != 0),
        goes_away((first & 128) != 0),
        seed(second) {}
};

http::Limits limits_of(const Choices& choices) {
  http::Limits limits;
  if (!choices.is_tight) return limits;
  limits.target_bytes = 30;
  limits.head_bytes = 200;
  limits.field_count = 5;
  limits.chunk_line_bytes = 12;
  limits.trailer_bytes = 40;
  limits.discard_bytes = 20;
  return limits;
}

class Run {
 public:
  Run(const Choices& choices, bool in_one_piece)
      : choices_(choices),
        limits_(limits_of(choices)),
        random_(choices.seed),
        in_one_piece_(in_one_piece),
        codec_(http1::make_codec(choices.side, limits_, nullptr, 0)) {
    if (choices_.side == Side::client) ask();
  }

  void play(ByteView bytes) {
    auto const half = bytes.size() / 2;
    std::size_t fed = 0;
    while (fed < bytes.size() && !error_) {
      auto const most = bytes.size() - fed;
      auto const n = in_one_piece_ ? most : std::min<std::size_t>(most, 1 + random_.next() % 24);
      pending_.append(bytes.substr(fed, n));
      fed += n;
      offer();
      if (choices_.goes_away && fed > half) say(0, http::GoAway{});
      pass_time();
    }
    if (choices_.ends && !error_ && pending_.empty()) {
      note(codec_->receive_eof(now_));
      drain();
    }
    take_output();
    check_end();
  }

  // What must not depend on the cuts.
  const std::optional<base::Error>& error() const { return error_; }
  const std::string& transcript() const { return transcript_; }
  bool may_differ() const { return may_differ_; }

 private:
  void offer() {
    // Each turn consumes bytes or grants credit, so this ends.
    for (int idle_turns = 0; !pending_.empty() && !error_ && idle_turns < 3;) {
      auto taken = codec_->receive(pending_, now_);
      std::size_t n = 0;
      if (taken) {
        n = *taken;
      } else {
        error_ = taken.take_error();
      }
      require(n <= pending_.size(), "no more is consumed than was offered");
      pending_.erase(0, n);
      bool const heard = drain();
      take_output();
      if (codec_->afterwards() == Afterwards::hand_over) {
        pending_.clear();
        return;
      }
      if (!error_ && is_reading_ && choices_.behaviour == Behaviour::trickles_credit)
        grant(1 + random_.next() % 7);
      idle_turns = n == 0 && !heard ? idle_turns + 1 : 0;
    }
    require(error_ || pending_.empty() || is_open_ || choices_.side == Side::client,
            "an idle server consumes");
    // A real owner stops reading here; bytes that nobody will take are dropped to keep the run
    // small.
    if (pending_.size() > 4096) pending_.clear();
  }

  bool drain() {
    bool heard = false;
    while (auto event = codec_->next_event()) {
      heard = true;
      if (auto const* refused = std::get_if<http::Refused>(&event->what)) {
        require(error_ && choices_.side == Side::server, "only a server tells of refusals");
        require(refused->status >= 400, "a refusal has the status of an error");
        continue;
      }
      require(!error_ || choices_.side == Side::client, "a refused message is not heard of");
      hear(*event);
    }
    return heard;
  }

  void hear(const http::Event& event) {
    if (auto const* head = std::get_if<http::HeadReceived>(&event.what)) {
      hear_head(event.stream, *head);
    } else if (auto const* data = std::get_if<http::Data>(&event.what)) {
      require(is_reading_ && event.stream == stream_, "data belongs to a body");
      require(!data->bytes.empty(), "data is not empty");
      require(data->bytes.size() <= credit_, "data stays within the credit");
      credit_ -= data->bytes.size();
      transcript_ += data->bytes.view();
      if (choices_.behaviour == Behaviour::streams)
        say(stream_, http::Data{base::Bytes::copy_of(data->bytes.view())});
    } else if (std::holds_alternative<http::End>(event.what)) {
      require(is_reading_ && event.stream == stream_, "an end belongs to a body");
      transcript_ += "|end\n";
      finish();
    }
  }

  void hear_head(http::StreamId stream, const http::HeadReceived& received) {
    auto const& head = received.head;
    require(!is_reading_, "one message at a time");
    if (choices_.side == Side::server) {
      require(!is_open_ && stream == stream_ + 1, "streams count up, one request at a time");
      require(!head.method_text().empty() && !head.target().empty(),
              "a request has a method and a target");
      require(head.path().empty() || head.path().front() == '/' || head.path() == "*",
              "a path is normalised");
      require(head.path().find("/../") == ByteView::npos, "a path has no dot segments");
      transcript_ += std::string(head.method_text()) + ' ' + std::string(head.path()) + '\n';
    } else {
      require(stream == stream_, "a response answers its request");
      require(head.status() >= 100 && head.status() <= 999, "a status has three digits");
      transcript_ += std::to_string(head.status()) + '\n';
    }
    for (std::size_t i = 0; i < head.size(); ++i) {
      require(http::is_token(head.name(i)), "a name is a token");
      require(http::is_field_value(head.value(i)), "a value holds no control bytes");
      transcript_ += std::string(head.name(i)) + '=' + std::string(head.value(i)) + '\n';
    }
    require(head.size() <= limits_.field_count, "fields are limited");
    if (head.expects_continue())
      may_differ_ = true;  // 100 depends on whether the body was seen in time
    bool const is_interim =
        choices_.side == Side::client && !received.ends_stream && !head.has_body();
    if (is_interim) return;
    stream_ = stream;
    is_open_ = true;
    is_reading_ = !received.ends_stream;
    credit_ = 0;
    if (choices_.side == Side::server) begin_answer(received);
    if (is_reading_) {
      grant(choices_.behaviour == Behaviour::trickles_credit ? 1 : std::size_t{1} << 30);
    } else {
      finish();
    }
  }

  void begin_answer(const http::HeadReceived& received) {
    if (choices_.behaviour == Behaviour::streams) say(stream_, http::ResponseHead{});
    if (choices_.behaviour != Behaviour::answers_at_once) return;
    bool const switches = received.head.wants_upgrade() && received.ends_stream;
    say(stream_, http::ResponseMessage{{.status = static_cast<std::uint16_t>(switches ? 101 : 200),
                                        .preset = nullptr,
                                        .fields = {},
                                        .content_length = {}},
                                       base::Bytes::borrowed("x")});
    is_reading_ = is_open_ = false;
  }

  void finish() {
    is_reading_ = false;
    bool const was_open = std::exchange(is_open_, false);
    if (choices_.side == Side::client) {
      if (codec_->afterwards() == Afterwards::go_on) ask();
      return;
    }
    if (!was_open) return;
    if (choices_.behaviour == Behaviour::streams) {
      say(stream_, http::End{});
    } else {
      say(stream_, http::ResponseMessage{{}, base::Bytes::borrowed("x")});
    }
  }

  void ask() {
    constexpr http::Method methods[] = {http::Method::get, http::Method::head,
                                        http::Method::connect, http::Method::get};
    http::RequestHead head;
    head.method = methods[choices_.asks];
    head.target = head.method == http::Method::connect ? "a:80" : "/";
    head.authority = "a";
    if (choices_.asks == 3) head.fields = {{"Connection", "upgrade"}, {"Upgrade", "x"}};
    if (codec_->send(asked_ + 1, http::RequestMessage{std::move(head), {}}, now_))
      stream_ = ++asked_;
  }

  void grant(std::size_t bytes) {
    credit_ += bytes;
    say(stream_, http::Credit{bytes});
  }

  // An application may be late or wrong; the codec says so and lives on.
  void say(http::StreamId stream, http::Part part) {
    (void)static_cast<bool>(codec_->send(stream, std::move(part), now_));
    take_output();
  }

  void pass_time() {
    if (random_.next() % 64 != 0) return;
    now_ += base::milliseconds(static_cast<std::int64_t>(random_.next() % 20'000));
    if (in_one_piece_ || now_ < codec_->deadline()) return;
    may_differ_ = true;
    note(codec_->tick(now_));
    drain();
    require(codec_->afterwards() != Afterwards::go_on, "time that is up ends the connection");
  }

  void note(base::Status status) {
    if (!status && !error_) error_ = status.take_error();
  }

  void take_output() {
    base::ByteChain out;
    auto const n = codec_->take_output(out);
    require(n == out.size(), "output is as long as it says");
    require(n == 0 || !is_silent_, "nothing is said behind the end");
    require(n < 64 * 1024, "output is bounded");
    is_silent_ = codec_->afterwards() == Afterwards::close ||
                 codec_->afterwards() == Afterwards::close_lingering;
  }

  void check_end() {
    if (!error_) return;
    require(codec_->afterwards() != Afterwards::go_on, "an error is final");
    require(!error_->rule.empty(), "an error names its clause");
    auto taken = codec_->receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n", now_);
    require(static_cast<bool>(taken) && !codec_->next_event(), "nothing is heard behind the end");
    take_output();
  }

  Choices choices_;
  http::Limits limits_;
  base::Random random_;
  bool in_one_piece_;
  std::unique_ptr<proto::Codec> codec_;
  base::Time now_ = 0;
  std::string pending_;
  std::string transcript_;
  std::optional<base::Error> error_;
  http::StreamId stream_ = 0;
  http::StreamId asked_ = 0;
  std::size_t credit_ = 0;
  bool is_open_ = false;
  bool is_reading_ = false;
  bool is_silent_ = false;
  bool may_differ_ = false;
};

}  // namespace

// Freed memory in AddressSanitizer's quarantine (256 MB by default) would hide growth of ours from
// the run's memory limit.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 2) return 0;
  Choices const choices(input[0], input[1]);
  ByteView const bytes(reinterpret_cast<const char*>(input) + 2, size - 2);
  Run in_pieces(choices, false);
  in_pieces.play(bytes);
  Run in_one(choices, true);
  in_one.play(bytes);

  // A server that reads all it is sent must see the same however the bytes were cut.
  bool const is_comparable =
      choices.side == Side::server && choices.behaviour == Behaviour::reads_then_answers &&
      !choices.goes_away && size < 4096 && !in_pieces.may_differ() && !in_one.may_differ();
  if (!is_comparable) return 0;
  auto const& one = in_one.error();
  auto const& other = in_pieces.error();
  require(one.has_value() == other.has_value(), "cuts do not decide what is refused");
  if (one)
    require(one->code == other->code && one->rule == other->rule,
            "cuts do not decide why it is refused");
  // What stood right before a refusal may be lost with it when both came in one piece.
  require(in_pieces.transcript().starts_with(in_one.transcript()),
          "cuts do not decide what is heard");
  if (!one)
    require(in_one.transcript() == in_pieces.transcript(), "cuts do not decide how much is heard");
  return 0;
}
