#include "millrace/proto/coding/encoder.hpp"

#include <gtest/gtest.h>

#include "proto/coding/coded.hpp"

namespace millrace::coding {
namespace {

std::string sample(std::size_t size) {
  std::string text;
  for (unsigned i = 1; text.size() < size; i = i * 1'664'525 + 1'013'904'223)
    text += "number " + std::to_string(i) + ", ";
  text.resize(size);
  return text;
}

TEST(Encoder, MakesWhatDecodersTakeAtEveryLevelAndSize) {
  for (auto const coding : all_codings)
    for (int level = levels_of(coding).least; level <= levels_of(coding).most; ++level)
      for (std::size_t const size : {0, 1, 1000, 200'000}) {
        auto const text = sample(size);
        auto const bytes = encoded(text, coding, level);
        ASSERT_TRUE(decoded(bytes, coding).text == text) << name_of(coding) << level;
        ASSERT_LT(bytes.size(), size / 2 + 100);
      }
}

TEST(Encoder, SendsEachPieceSoThatItCanBeDecodedAtOnce) {
  for (auto const coding : all_codings) {
    SCOPED_TRACE(name_of(coding));
    EncoderPtr const encoder(EncoderPool::take({coding, 3}));
    ContentDecoder decoder({coding}, no_limits());
    std::string room(1000, '\0');
    for (int i = 0; i < 50; ++i) {
      auto const item = "data: item " + std::to_string(i) + "\n\n";
      std::string out;
      encoder->encode(item, Flush::piece, out);
      auto const step = decoder.decode(out, room);
      ASSERT_TRUE(step) << step.error().message();
      EXPECT_EQ(room.substr(0, step.value().made), item);
    }
    std::string out;
    encoder->encode({}, Flush::end, out);
    ASSERT_TRUE(decoder.decode(out, room));
    EXPECT_TRUE(decoder.end());
  }
}

TEST(Encoder, TakesWholesAndStreamsInTurn) {
  auto const text = sample(50'000);
  for (auto const coding : all_codings)
    for (int i = 0; i < 2; ++i) {
      auto const whole = encoded(text, coding);
      EXPECT_TRUE(decoded(whole, coding).text == text) << name_of(coding);
      EncoderPtr const encoder(EncoderPool::take({coding, 1}));
      std::string out;
      encoder->encode(text, Flush::piece, out);
      encoder->encode(text, Flush::end, out);
      EXPECT_TRUE(decoded(out, coding).text == text + text) << name_of(coding);
    }
}

TEST(Encoder, TakesWholesOfEverySize) {
  for (std::size_t const size : {1024 * 1024, 1024 * 1024 + 1, 3'000'000})
    for (auto const coding : all_codings) {
      auto const text = sample(size);
      EXPECT_TRUE(decoded(encoded(text, coding), coding).text == text) << name_of(coding);
    }
}

TEST(Encoder, GathersWhatIsNotFlushed) {
  for (auto const coding : all_codings) {
    EncoderPtr const encoder(EncoderPool::take({coding, 1}));
    std::string out;
    auto const text = sample(300'000);
    for (std::size_t at = 0; at < text.size(); at += 100)
      encoder->encode(ByteView(text).substr(at, 100), Flush::none, out);
    encoder->encode({}, Flush::end, out);
    EXPECT_TRUE(decoded(out, coding).text == text) << name_of(coding);
  }
}

TEST(Encoder, TakesAWordAboutTheLength) {
  for (auto const coding : all_codings) {
    EncoderPtr const encoder(EncoderPool::take({coding, 1}));
    auto const text = sample(5000);
    encoder->expect(text.size());
    std::string out;
    encoder->encode(text, Flush::end, out);
    EXPECT_EQ(decoded(out, coding).text, text);
  }
}

TEST(Encoder, IsAsNewWhenItIsTakenAgain) {
  for (auto const coding : all_codings) {
    auto const fresh = encoded("some text", coding);
    {
      EncoderPtr const left_halfway(EncoderPool::take({coding, 1}));
      std::string out;
      left_halfway->encode("another", Flush::piece, out);
    }
    EXPECT_EQ(encoded("some text", coding), fresh) << name_of(coding);
  }
}

TEST(EncoderPool, TellsLevelsApart) {
  EncoderPtr fast(EncoderPool::take({Coding::gzip, 1}));
  fast.reset();
  EncoderPtr const dense(EncoderPool::take({Coding::gzip, 9}));
  EXPECT_EQ(dense->options().level, 9);
}

}  // namespace
}  // namespace millrace::coding
