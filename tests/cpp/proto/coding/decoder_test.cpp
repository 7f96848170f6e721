#include "millrace/proto/coding/decoder.hpp"

#include <gtest/gtest.h>

#include "proto/coding/coded.hpp"

namespace millrace::coding {
namespace {

using namespace std::string_literals;
using base::Errc;

std::string sample() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "line " + std::to_string(i * i) + " of some text\n";
  return text;
}

TEST(Coding, IsNamedInAnyLetterCase) {
  EXPECT_EQ(coding_named("GZip"), Coding::gzip);
  EXPECT_EQ(coding_named("x-gzip"), Coding::gzip) << "RFC 9110 8.4.1.3";
  EXPECT_EQ(coding_named("compress"), std::nullopt);
  for (auto const coding : all_codings) EXPECT_EQ(coding_named(name_of(coding)), coding);
}

TEST(Decoder, MakesTheSameOfEverySplit) {
  auto const text = sample();
  for (auto const coding : all_codings) {
    SCOPED_TRACE(name_of(coding));
    std::string const bytes = encoded(text, coding);
    ByteView const all = bytes;
    for (std::size_t split = 0; split <= all.size(); ++split) {
      auto const got = decoded({all.substr(0, split), all.substr(split)}, {coding});
      ASSERT_TRUE(got.is_good()) << split << got.detail;
      ASSERT_EQ(got.text, text);
    }
    std::vector<ByteView> bytewise;
    for (std::size_t i = 0; i < all.size(); ++i) bytewise.push_back(all.substr(i, 1));
    EXPECT_EQ(decoded(bytewise, {coding}, no_limits(), 1).text, text) << "one byte in, one out";
  }
}

TEST(Decoder, TakesNoInputForNoOutput) {
  for (auto const coding : all_codings) {
    EXPECT_TRUE(decoded("", coding).is_good());
    auto const of_nothing = decoded(encoded("", coding), coding);
    EXPECT_TRUE(of_nothing.is_good());
    EXPECT_EQ(of_nothing.text, "");
  }
}

TEST(Decoder, SaysThatInputIsCutWhereverItIs) {
  for (auto const coding : all_codings) {
    auto const bytes = encoded(sample(), coding);
    for (std::size_t size = 1; size < bytes.size(); ++size) {
      auto const got = decoded(ByteView(bytes).substr(0, size), coding);
      ASSERT_EQ(got.code, Errc::bad_content_coding) << name_of(coding) << size;
      ASSERT_EQ(got.detail, std::string(name_of(coding)) + ": the input ends early");
    }
  }
}

TEST(Decoder, RefusesWhatFollowsTheEnd) {
  for (auto const coding : all_codings) {
    auto const bytes = encoded(sample(), coding);
    EXPECT_EQ(decoded(bytes + "garbage", coding).code, Errc::bad_content_coding);
    EXPECT_EQ(decoded({bytes, "x"}, {coding}).code, Errc::bad_content_coding);
  }
}

TEST(Decoder, RefusesAChecksumThatDoesNotMatch) {
  for (auto const coding : {Coding::gzip, Coding::deflate}) {
    auto bytes = encoded(sample(), coding);
    bytes[bytes.size() - (coding == Coding::gzip ? 8 : 4)] ^= 1;
    auto const got = decoded(bytes, coding);
    EXPECT_EQ(got.code, Errc::bad_content_coding);
    EXPECT_NE(got.detail.find("incorrect data check"), std::string::npos) << got.detail;
  }
  // As `zstd --check` makes it.
  auto frame = "\x28\xb5\x2f\xfd\x04\x58\x39\0\0checked\x14\x3e\x30\x83"s;
  EXPECT_EQ(decoded(frame, Coding::zstd).text, "checked");
  frame.back() ^= 1;
  EXPECT_EQ(decoded(frame, Coding::zstd).code, Errc::bad_content_coding);
}

TEST(Decoder, RefusesALengthThatDoesNotMatch) {
  auto bytes = encoded(sample(), Coding::gzip);
  bytes.back() ^= 1;
  EXPECT_NE(decoded(bytes, Coding::gzip).detail.find("incorrect length check"), std::string::npos);
  // A frame of one segment says 112 bytes, and has a last block of none; whatever the cut.
  auto const frame = "\x28\xb5\x2f\xfd\x20\x70\x01\0\0"s;
  for (std::size_t cut = 0; cut < frame.size(); ++cut)
    EXPECT_EQ(decoded({frame.substr(0, cut), frame.substr(cut)}, {Coding::zstd}).code,
              Errc::bad_content_coding);
  auto honest = frame;
  honest[5] = 0;
  EXPECT_TRUE(decoded(honest, Coding::zstd).is_good());
}

TEST(Decoder, TakesAnEmptyCompressedBlockOfZstdWholeAndInPieces) {
  auto const frame = "\x28\xb5\x2f\xfd\x20\x00\x05\0\0"s;
  for (std::size_t cut = 0; cut < frame.size(); ++cut) {
    auto const got = decoded({frame.substr(0, cut), frame.substr(cut)}, {Coding::zstd});
    EXPECT_TRUE(got.is_good()) << cut << got.detail;
  }
}

TEST(Decoder, JoinsTheMembersOfGzipAndTheFramesOfZstd) {
  for (auto const coding : {Coding::gzip, Coding::zstd}) {
    auto const two = encoded("one ", coding) + encoded("", coding) + encoded("two", coding);
    EXPECT_EQ(decoded(two, coding).text, "one two");
    EXPECT_FALSE(decoded(ByteView(two).substr(0, two.size() - 1), coding).is_good());
  }
  auto const skipped = "\x5a\x2a\x4d\x18\x03\x00\x00\x00xyz"s + encoded("text", Coding::zstd);
  EXPECT_EQ(decoded(skipped, Coding::zstd).text, "text") << "RFC 8878 3.1.2";
}

TEST(Decoder, TakesDeflateWithAndWithoutItsHeader) {
  auto const wrapped = encoded("a text", Coding::deflate);
  auto const raw = wrapped.substr(2, wrapped.size() - 6);
  for (std::size_t split = 0; split <= raw.size(); ++split) {
    auto const got = decoded({ByteView(raw).substr(0, split), ByteView(raw).substr(split)},
                             {Coding::deflate}, no_limits(), 1);
    EXPECT_EQ(got.text, "a text") << split << got.detail;
  }
  EXPECT_EQ(decoded("\x03\x00"s, Coding::deflate).text, "") << "the shortest of all";
  EXPECT_EQ(decoded("\x03"s, Coding::deflate).code, Errc::bad_content_coding);
}

TEST(Decoder, RefusesZstdWindowsAboveTheirLimitAndTakesThoseAtIt) {
  // A frame without its length, with a window of 2^(10 + n), and an empty last block.
  auto const frame = [](int log) {
    return "\x28\xb5\x2f\xfd"s + '\0' + static_cast<char>((log - 10) << 3) + "\x01\x00\x00"s;
  };
  EXPECT_TRUE(decoded(frame(zstd_window_most), Coding::zstd).is_good());
  auto const above = decoded(frame(zstd_window_most + 1), Coding::zstd);
  EXPECT_EQ(above.code, Errc::body_too_large) << "RFC 9659 3";
}

TEST(Decoder, RefusesLargeBrotliWindowsAndOldZstdFormats) {
  EXPECT_EQ(decoded("\x11\x1e\x00"s, Coding::br).code, Errc::bad_content_coding);
  EXPECT_EQ(decoded("\x27\xb5\x2f\xfd\x00\x00\x00\x00"s, Coding::zstd).detail,
            "zstd: no frame begins so");
}

TEST(Decoder, RefusesNoise) {
  for (auto const coding : all_codings)
    EXPECT_EQ(decoded("this is no coded text at all", coding).code, Errc::bad_content_coding);
}

TEST(Decoder, IsAsNewWhenItIsTakenAgain) {
  for (auto const coding : all_codings) {
    auto const bytes = encoded("some text", coding);
    (void)decoded(ByteView(bytes).substr(0, bytes.size() / 2), coding);
    (void)decoded("nonsense", coding);
    EXPECT_EQ(decoded(bytes, coding).text, "some text");
  }
}

// ----------------------------------------------------------------------------------------------
// the codings of one body

TEST(ContentDecoder, UndoesCodingsInTheReverseOfTheirOrder) {
  auto const text = sample();
  for (auto const inner : all_codings)
    for (auto const outer : all_codings) {
      auto const bytes = encoded(encoded(text, inner), outer);
      ByteView const all = bytes;
      for (std::size_t const room : {1, 100, 100'000}) {
        auto const got =
            decoded({all.substr(0, 10), all.substr(10)}, {inner, outer}, no_limits(), room);
        ASSERT_EQ(got.text, text) << name_of(inner) << name_of(outer) << got.detail;
      }
      EXPECT_FALSE(decoded({all.substr(0, all.size() - 1)}, {inner, outer}).is_good());
    }
}

TEST(ContentDecoder, TakesWhatIsAtItsRatioAndRefusesWhatIsAbove) {
  std::string const zeros(2'000'000, '\0');
  for (auto const coding : all_codings) {
    auto const bytes = encoded(zeros, coding);
    // In one step, so that all of the input counts.
    auto const in_one_step = [&](std::size_t ratio) {
      return decoded({bytes}, {coding}, {.codings = 1, .ratio = ratio}, zeros.size() + 1);
    };
    auto const least = (zeros.size() + bytes.size() - 1) / bytes.size();
    EXPECT_TRUE(in_one_step(least).is_good()) << name_of(coding);
    EXPECT_EQ(in_one_step(least - 1).code, Errc::body_too_large) << name_of(coding);
  }
}

TEST(ContentDecoder, LooksAtTheRatioOnlyAboveItsFreeBytes) {
  std::string const zeros(10'000, '\0');
  auto const bytes = encoded(zeros, Coding::gzip);
  DecodeLimits limits{.codings = 1, .ratio = 1, .ratio_from_bytes = zeros.size()};
  EXPECT_TRUE(decoded({bytes}, {Coding::gzip}, limits).is_good());
  --limits.ratio_from_bytes;
  EXPECT_EQ(decoded({bytes}, {Coding::gzip}, limits).code, Errc::body_too_large);
}

TEST(ContentDecoder, StopsSoonAfterTheRatioIsPassed) {
  auto const bytes = encoded(std::string(50'000'000, '\0'), Coding::zstd);
  DecodeLimits const limits{.codings = 1, .ratio = 10, .ratio_from_bytes = 100'000};
  auto const got = decoded({bytes}, {Coding::zstd}, limits, 10'000);
  EXPECT_EQ(got.code, Errc::body_too_large);
  EXPECT_LE(got.text.size(), 110'000u);
}

TEST(ContentDecoder, HoldsEveryStageToTheRatio) {
  // Empty gzip members: a thousand times as much input for the second stage, and no output.
  std::string members;
  auto const empty = encoded("", Coding::gzip);
  for (int i = 0; i < 100'000; ++i) members += empty;
  auto const bytes = encoded(members, Coding::gzip, 9);
  DecodeLimits const limits{.codings = 2, .ratio = 100, .ratio_from_bytes = 100'000};
  EXPECT_EQ(decoded({bytes}, {Coding::gzip, Coding::gzip}, limits).code, Errc::body_too_large);
}

}  // namespace
}  // namespace millrace::coding
