// Fields as the engine cuts them, against llhttp's own cutting of the same sections.
#include "millrace/proto/http1/field_section.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "proto/http1/fields_by_llhttp.hpp"

#include "millrace/base/random.hpp"

namespace millrace::test {
namespace {

using http1::Rule;

Rule rule_of(std::string_view lines) {
  http::HeadBlock block;
  block.bytes = std::string(lines) + "\r\n";
  return http1::read_fields(block, 0, 4).rule;
}

TEST(FieldSection, HoldsEachFieldWithoutTheWhiteSpaceAroundItsValue) {
  FieldTexts const expected{{"a", "b"}, {"C-d", "e \t f"}, {"empty", ""}, {"blank", ""}};
  EXPECT_EQ(fields_by_engine("a:b\r\nC-d:\t e \t f \t\r\nempty:\r\nblank: \t \r\n\r\n", 4),
            expected);
}

TEST(FieldSection, TakesEveryByteThatAValueMayHoldAndNoOther) {
  for (int c = 0; c < 256; ++c) {
    if (c == '\r' || c == '\n') continue;
    bool const is_allowed = c == '\t' || (c >= ' ' && c != 0x7f);
    // Near the front and near the end of what is looked at in one step.
    for (std::size_t const before : {0, 1, 14, 15, 16, 40}) {
      auto const line = "a: x" + std::string(before, 'x') + static_cast<char>(c) + "x\r\n";
      EXPECT_EQ(rule_of(line), is_allowed ? Rule::none : Rule::field_value) << c << ' ' << before;
    }
  }
}

TEST(FieldSection, NamesTheRuleThatIsBrokenFirst) {
  EXPECT_EQ(rule_of("a b: c\r\na: \x01\r\n"), Rule::field_name);
  EXPECT_EQ(rule_of("a: \x01\r\na b: c\r\n"), Rule::field_value);
  EXPECT_EQ(rule_of("a: b\r\n c\r\nContent-Length: x\r\n"), Rule::line_folding);
  EXPECT_EQ(rule_of("Content-Length: x\r\n: c\r\n"), Rule::length_form);
  EXPECT_EQ(rule_of(": c\r\nContent-Length: x\r\n"), Rule::field_name);
  EXPECT_EQ(rule_of("Content-Length: 1\r\nContent-Length: 1\r\na b: c\r\n"), Rule::length_repeated);
  EXPECT_EQ(rule_of("a:\r\nb:\r\nc:\r\nd:\r\ne: \x01\r\n"), Rule::field_count);
  EXPECT_EQ(rule_of("a:\r\nb:\r\nc:\r\nd:\r\ne f:\r\n"), Rule::field_name);
}

// llhttp judges an empty length when it has seen that the next line does not go on with it.
TEST(FieldSection, NamesWhatLlhttpHeldBackBeforeWhatCameBehindIt) {
  EXPECT_EQ(rule_of("Content-Length:\r\na b: c\r\n"), Rule::length_form);
  EXPECT_EQ(rule_of("Content-Length:\r\n 3\r\n"), Rule::line_folding);
  EXPECT_EQ(rule_of("Content-Length:\r\n"), Rule::length_form);
}

// Lines that frame a message among lines that do not, bytes changed at random.
std::string random_section(base::Random& random) {
  constexpr std::array lines{
      "Host: a",
      "Content-Length: 3",
      "content-length:30 ",
      "Content-Length:",
      "Transfer-Encoding: chunked",
      "TRANSFER-ENCODING:\tgzip, chunked",
      "Transfer-Encoding: chunked, gzip",
      "Connection: keep-alive, Upgrade",
      "Connection:",
      "Upgrade: websocket",
      "Proxy-Connection: close",
      "Content-Lengthy: x",
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
      "X:",
      " folded",
      "\t",
  };
  constexpr std::string_view bytes("\r\n\t :,;-\"()aZ09\x01\x7f\x80\xff\0", 21);
  std::string text;
  for (auto count = random.next() % 6; count > 0; --count) {
    text += lines[random.next() % lines.size()];
    text += "\r\n";
  }
  text += "\r\n";
  for (auto changes = random.next() % 3; changes > 0; --changes) {
    auto const at = random.next() % text.size();
    auto const byte = bytes[random.next() % bytes.size()];
    if (random.next() % 2 == 0)
      text[at] = byte;
    else
      text.insert(at, 1, byte);
  }
  return text;
}

TEST(FieldSection, AgreesWithLlhttpAndTheChecksBehindIt) {
  base::Random random(3);
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 50'000; ++round) {
    auto const text = random_section(random);
    auto const section = section_of(text);
    if (!section) continue;
    auto const ours = fields_by_engine(*section, 4);
    ASSERT_EQ(ours, LlhttpFields::read(*section, 4)) << *section;
    ++(ours ? accepted : refused);
  }
  EXPECT_GT(accepted, 5'000);
  EXPECT_GT(refused, 5'000);
}

}  // namespace
}  // namespace millrace::test
