// Messages of plain TCP in arbitrary bytes, cut arbitrarily.
//
// An input is three bytes of choices and then what the peer sends:
//   byte 0  bits 0-1: no framing, lines, a length before each, lines; bits 2-3: a length of 1, 2, 4
//           or 8 bytes
//   byte 1  the limit, less one
//   byte 2  seed of the cuts
// A broken promise of framing.hpp aborts.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/random.hpp"
#include "millrace/proto/framing/framing.hpp"

namespace {

using namespace millrace;
using base::ByteView;
using base::Errc;
using framing::Framing;
using framing::Kind;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

Framing framing_of(std::uint8_t kind, std::uint8_t limit) {
  constexpr Kind kinds[] = {Kind::none, Kind::lines, Kind::length_prefixed, Kind::lines};
  return {.kind = kinds[kind & 3],
          .max_bytes = std::size_t{limit} + 1,
          .prefix_bytes = static_cast<std::uint8_t>(1 << (kind >> 2 & 3))};
}

struct Heard {
  std::vector<std::string> messages;
  std::optional<Errc> refusal;

  std::string bytes() const {
    std::string joined;
    for (auto const& message : messages) joined += message;
    return joined;
  }
  bool operator==(const Heard&) const = default;
};

class Run {
 public:
  explicit Run(const Framing& framing) : framing_(framing), splitter_(framing) {}

  void offer(ByteView bytes) {
    // Of its own, so that a view kept too long is one of freed memory.
    std::string const piece(bytes);
    ByteView rest(piece);
    while (!heard_.refusal) {
      auto const before = rest.size();
      auto message = splitter_.next(rest);
      require(rest.size() <= before, "bytes are taken from the front");
      if (!message) {
        heard_.refusal = message.error().code;
      } else if (*message) {
        hear(**message);
      } else {
        require(rest.empty(), "all bytes are taken before more are asked for");
        break;
      }
    }
    offered_ += bytes.size();
    require(splitter_.copied_bytes() <= offered_, "no byte is copied twice");
  }

  void end() {
    if (heard_.refusal) return;
    if (auto ended = splitter_.end(); !ended) heard_.refusal = ended.error().code;
  }

  const Heard& heard() const { return heard_; }

 private:
  void hear(ByteView message) {
    if (framing_.kind != Kind::none)
      require(message.size() <= framing_.max_bytes, "no message is above the limit");
    if (framing_.kind == Kind::lines)
      require(message.find('\n') == ByteView::npos, "a line has no line end in it");
    heard_.messages.emplace_back(message);
  }

  Framing framing_;
  framing::Splitter splitter_;
  Heard heard_;
  std::size_t offered_ = 0;
};

Heard in_one_piece(const Framing& framing, ByteView bytes) {
  Run run(framing);
  run.offer(bytes);
  run.end();
  return run.heard();
}

Heard in_pieces(const Framing& framing, ByteView bytes, base::Random& random, std::size_t longest) {
  Run run(framing);
  while (!bytes.empty()) {
    auto const n = std::min<std::size_t>(bytes.size(), 1 + random.next() % longest);
    run.offer(bytes.substr(0, n));
    bytes.remove_prefix(n);
  }
  run.end();
  return run.heard();
}

void compare(const Framing& framing, const Heard& one, const Heard& other) {
  require(one.refusal == other.refusal, "cuts do not decide what is refused");
  if (framing.kind == Kind::none) {
    require(one.bytes() == other.bytes(), "without framing every byte is handed on");
  } else {
    require(one.messages == other.messages, "cuts do not decide what is heard");
  }
}

// What was heard is what a sender of the same messages would have sent, as far as it may.
void send_again(const Framing& framing, const Heard& heard) {
  base::ByteChain out;
  Heard sent;
  for (auto const& message : heard.messages) {
    auto const before = out.size();
    auto const checked = framing::check(framing, message);
    auto const appended = framing::append(framing, base::Bytes::copy_of(message), out);
    require(static_cast<bool>(checked) == static_cast<bool>(appended), "check() says beforehand");
    if (appended) {
      sent.messages.push_back(message);
      continue;
    }
    require(out.size() == before, "what is refused is not sent");
    // Of "a CR CR LF" the line is "a CR", which would lose its CR on the way back.
    require(framing.kind == Kind::lines && message.ends_with('\r'), "what is heard may be sent");
  }
  compare(framing, in_one_piece(framing, out.to_string()), sent);
}

// The bytes as one message: sent and heard again, or refused for a reason.
void send_whole(const Framing& framing, ByteView bytes) {
  base::ByteChain out;
  if (framing::append(framing, base::Bytes::copy_of(bytes), out)) {
    Heard const sent{{std::string(bytes)}, {}};
    compare(framing, in_one_piece(framing, out.to_string()), sent);
  } else {
    require(out.empty(), "what is refused is not sent");
    require(bytes.size() > framing.max_bytes ||
                (framing.kind == Kind::lines &&
                 (bytes.find('\n') != ByteView::npos || bytes.ends_with('\r'))),
            "a message that fits is sent");
  }
}

}  // namespace

// As in http1_fuzz.cpp: the run's memory limit is to see growth of ours.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 3) return 0;
  auto const framing = framing_of(input[0], input[1]);
  ByteView const bytes(reinterpret_cast<const char*>(input) + 3, size - 3);
  // A length of one byte says at most 255.
  bool const fits =
      framing.kind != Kind::length_prefixed || framing.prefix_bytes > 1 || framing.max_bytes <= 255;
  require(static_cast<bool>(framing::check(framing)) == fits,
          "check() knows what a length can say");
  if (!fits) return 0;

  auto const heard = in_one_piece(framing, bytes);
  base::Random random(input[2]);
  compare(framing, heard, in_pieces(framing, bytes, random, 1));
  compare(framing, heard, in_pieces(framing, bytes, random, 24));
  send_again(framing, heard);
  send_whole(framing, bytes);
  return 0;
}
