// Lines and length-prefixed messages: every transcript is replayed at every split point.
#include "millrace/proto/framing/framing.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace millrace::framing {
namespace {

using base::ByteView;
using base::Errc;

struct Heard {
  std::vector<std::string> messages;
  std::optional<Errc> refused;
  std::optional<Errc> end;
  bool operator==(const Heard&) const = default;
};

void hear(Splitter& splitter, ByteView bytes, Heard& heard) {
  while (!heard.refused) {
    auto message = splitter.next(bytes);
    if (!message) {
      heard.refused = message.error().code;
      return;
    }
    if (!*message) break;
    heard.messages.emplace_back(**message);
  }
  EXPECT_TRUE(heard.refused || bytes.empty()) << "what is no message yet is held";
}

Heard play(const Framing& framing, ByteView stream, std::size_t first, std::size_t second) {
  Splitter splitter(framing);
  Heard heard;
  hear(splitter, stream.substr(0, first), heard);
  hear(splitter, stream.substr(first, second - first), heard);
  hear(splitter, stream.substr(second), heard);
  if (!heard.refused)
    if (auto ended = splitter.end(); !ended) heard.end = ended.error().code;
  return heard;
}

// Replays it in one piece, then in every three.
Heard play_everywhere(const Framing& framing, ByteView stream) {
  auto const whole = play(framing, stream, 0, 0);
  for (std::size_t first = 0; first <= stream.size(); ++first)
    for (std::size_t second = first; second <= stream.size(); ++second)
      EXPECT_EQ(play(framing, stream, first, second), whole) << first << ' ' << second;
  return whole;
}

Framing lines(std::size_t max_bytes) { return {.kind = Kind::lines, .max_bytes = max_bytes}; }
Framing prefixed(std::uint8_t bytes, std::size_t max_bytes) {
  return {.kind = Kind::length_prefixed, .max_bytes = max_bytes, .prefix_bytes = bytes};
}
using Messages = std::vector<std::string>;

TEST(Lines, EndWithLineFeedAndPerhapsCarriageReturn) {
  auto const heard = play_everywhere(lines(8), "one\ntwo\r\n\n\r\nth\rree\n");
  EXPECT_EQ(heard.messages, (Messages{"one", "two", "", "", "th\rree"}));
  EXPECT_FALSE(heard.refused);
  EXPECT_FALSE(heard.end);
}

TEST(Lines, AreTakenUpToTheLimitAndRefusedOneBeyond) {
  EXPECT_EQ(play_everywhere(lines(4), "four\nfour\r\n").messages, (Messages{"four", "four"}));
  auto const heard = play_everywhere(lines(4), "ok\nfiver\nmore\n");
  EXPECT_EQ(heard.messages, Messages{"ok"});
  EXPECT_EQ(heard.refused, Errc::message_too_large);
}

TEST(Lines, WithoutAnEndAreIncomplete) {
  auto const heard = play_everywhere(lines(8), "one\ntw");
  EXPECT_EQ(heard.messages, Messages{"one"});
  EXPECT_EQ(heard.end, Errc::incomplete_message);
}

TEST(Lines, ThatComeWholeAreNotCopied) {
  Splitter splitter(lines(8));
  Heard heard;
  hear(splitter, "one\ntwo\n", heard);
  EXPECT_EQ(splitter.copied_bytes(), 0u);
  hear(splitter, "th", heard);
  hear(splitter, "ree\n", heard);
  EXPECT_EQ(splitter.copied_bytes(), 6u);
  EXPECT_EQ(heard.messages, (Messages{"one", "two", "three"}));
}

TEST(LengthPrefixed, IsBigEndianOfAnySize) {
  using namespace std::string_view_literals;
  EXPECT_EQ(play_everywhere(prefixed(1, 255), "\x03one\x00\x02to"sv).messages,
            (Messages{"one", "", "to"}));
  EXPECT_EQ(play_everywhere(prefixed(2, 1000), "\x00\x03one\x00\x00"sv).messages,
            (Messages{"one", ""}));
  EXPECT_EQ(play_everywhere(prefixed(4, 1000), "\x00\x00\x00\x03one"sv).messages, Messages{"one"});
  EXPECT_EQ(play_everywhere(prefixed(8, 1000), "\0\0\0\0\0\0\0\x03one"sv).messages,
            Messages{"one"});
}

TEST(LengthPrefixed, IsTakenUpToTheLimitAndRefusedOneBeyond) {
  using namespace std::string_view_literals;
  EXPECT_EQ(play_everywhere(prefixed(2, 4),
                            "\x00\x04"
                            "four"sv)
                .messages,
            Messages{"four"});
  auto const heard = play_everywhere(prefixed(2, 4),
                                     "\x00\x02ok\x00\x05"
                                     "fiver"sv);
  EXPECT_EQ(heard.messages, Messages{"ok"});
  EXPECT_EQ(heard.refused, Errc::message_too_large);
  EXPECT_EQ(play_everywhere(prefixed(8, 4), "\xff\xff\xff\xff\xff\xff\xff\xff"sv).refused,
            Errc::message_too_large);
}

TEST(LengthPrefixed, CutShortIsIncomplete) {
  using namespace std::string_view_literals;
  EXPECT_EQ(play_everywhere(prefixed(2, 4), "\x00"sv).end, Errc::incomplete_message);
  EXPECT_EQ(play_everywhere(prefixed(2, 4), "\x00\x02o"sv).end, Errc::incomplete_message);
}

TEST(NoFraming, GivesWhatCame) {
  EXPECT_EQ(play({}, "one\ntwo", 4, 4).messages, (Messages{"one\n", "two"}));
}

TEST(Append, MakesWhatTheOtherSideTakesApart) {
  for (auto const& framing :
       {lines(8), prefixed(1, 8), prefixed(2, 8), prefixed(4, 8), prefixed(8, 8)}) {
    base::ByteChain out;
    for (auto const* message : {"one", "", "12345678"})
      EXPECT_TRUE(append(framing, base::Bytes::copy_of(message), out));
    auto const heard = play_everywhere(framing, out.to_string());
    EXPECT_EQ(heard.messages, (Messages{"one", "", "12345678"}));
    auto refused = append(framing, base::Bytes::copy_of("123456789"), out);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_message);
  }
  base::ByteChain out;
  EXPECT_FALSE(append(lines(8), base::Bytes::copy_of("a\nb"), out));
  EXPECT_FALSE(append(lines(8), base::Bytes::copy_of("a\r"), out));
  EXPECT_TRUE(out.empty());
}

TEST(Check, RefusesWhatCannotWork) {
  EXPECT_TRUE(check(prefixed(1, 255)));
  EXPECT_FALSE(check(prefixed(1, 256)));
  EXPECT_FALSE(check(prefixed(3, 10)));
  EXPECT_FALSE(check(lines(0)));
  auto const most = std::numeric_limits<std::size_t>::max() / 2;
  EXPECT_TRUE(check(lines(most)));
  EXPECT_FALSE(check(lines(most + 1)));
  EXPECT_FALSE(check(prefixed(8, most + 1)));
  EXPECT_TRUE(check({}));
}

}  // namespace
}  // namespace millrace::framing
