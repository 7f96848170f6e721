// RFC 2046 5.1, RFC 7578.
#include "millrace/proto/forms/multipart.hpp"

#include <gtest/gtest.h>

namespace millrace::forms {
namespace {

using base::ByteView;
using Kind = MultipartParser::Event::Kind;

// What a parser says of a body in pieces of the given sizes: "part name[file]", "data ...", "end",
// or how it failed.
class Transcript {
 public:
  explicit Transcript(const FormLimits& limits = {}) : parser_(boundary, limits) {}

  bool put(ByteView piece) {
    auto status = parser_.put(piece);
    while (status) {
      auto event = parser_.next();
      if (!event) {
        status = event.take_status();
        break;
      }
      if (event->kind == Kind::more) return true;
      hear(*event);
    }
    text_ += "! " + status.error().message();
    return false;
  }

  std::string finish() {
    if (auto const status = parser_.finish(); !status) text_ += "! " + status.error().message();
    return text_;
  }
  std::string text() const { return text_; }

  static constexpr ByteView boundary = "bound";

 private:
  void hear(const MultipartParser::Event& event) {
    switch (event.kind) {
      case Kind::part: {
        auto const head = parser_.take_head();
        text_ += '<' + head.name + (head.filename ? '[' + *head.filename + ']' : "") +
                 (head.content_type.empty() ? "" : ' ' + head.content_type) + '>';
        break;
      }
      case Kind::data:
        text_ += event.data;
        break;
      case Kind::part_end:
        text_ += "</>";
        break;
      case Kind::more:
        break;
    }
  }

  MultipartParser parser_;
  std::string text_;
};

std::string whole(ByteView body, const FormLimits& limits = {}) {
  Transcript transcript(limits);
  return transcript.put(body) ? transcript.finish() : transcript.text();
}

std::string in_two(ByteView body, std::size_t at) {
  Transcript transcript;
  if (!transcript.put(body.substr(0, at)) || !transcript.put(body.substr(at)))
    return transcript.text();
  return transcript.finish();
}

std::string byte_by_byte(ByteView body) {
  Transcript transcript;
  for (std::size_t i = 0; i < body.size(); ++i)
    if (!transcript.put(body.substr(i, 1))) return transcript.text();
  return transcript.finish();
}

// The same at every split point.
std::string parsed(ByteView body) {
  auto const expected = whole(body);
  EXPECT_EQ(byte_by_byte(body), expected);
  for (std::size_t at = 0; at <= body.size(); ++at) EXPECT_EQ(in_two(body, at), expected) << at;
  return expected;
}

std::string part(ByteView head, ByteView content) {
  return "--bound\r\nContent-Disposition: form-data; " + std::string(head) + "\r\n\r\n" +
         std::string(content) + "\r\n";
}

TEST(Multipart, GivesFieldsAndFiles) {
  auto const body = part("name=a", "1") + part("name=\"f\"; filename=\"x.txt\"", "line\r\nline") +
                    "--bound--\r\n";
  EXPECT_EQ(parsed(body), "<a>1</><f[x.txt]>line\r\nline</>");
}

TEST(Multipart, IgnoresPreambleEpilogueAndPadding) {
  auto const body =
      "This is\r\n--not it\r\n--bound \t\r\nContent-Disposition: form-data; name=a\r\n"
      "\r\n1\r\n--bound--  \r\nnever read\r\n--bound\r\n";
  EXPECT_EQ(parsed(body), "<a>1</>");
}

TEST(Multipart, LetsContentLookLikeABoundary) {
  ByteView const looks =
      "\r\n\r\n--boun\r\n--Bound\r\r\n-\n--bound\r--bound--\r\n--boun--bound\r\n--bo\r";
  EXPECT_EQ(parsed(part("name=a", looks) + "--bound--"), "<a>" + std::string(looks) + "</>");
}

TEST(Multipart, HasPartsThatAreEmpty) {
  EXPECT_EQ(parsed(part("name=a", "") + part("name=b; filename=\"\"", "") + "--bound--"),
            "<a></><b[]></>");
  // Without a line end of its own (RFC 2046 5.1.1: "body-part").
  EXPECT_EQ(parsed("--bound\r\nContent-Disposition: form-data; name=a\r\n\r\n--bound--"), "<a></>");
  EXPECT_EQ(parsed("--bound--"), "");
}

TEST(Multipart, RefusesWhatHasNoLastBoundary) {
  auto const whole_body = part("name=a", "1") + "--bound--";
  for (std::size_t size = 0; size < whole_body.size(); ++size)
    EXPECT_NE(whole(whole_body.substr(0, size)).find("before its last boundary"), std::string::npos)
        << size;
}

TEST(Multipart, RefusesAMalformedBoundaryLine) {
  for (ByteView const line : {"--boundx\r\n", "--bound\n", "--bound-x", "--bound\rx", "--bound x"})
    EXPECT_NE(parsed(std::string(line) + "Content-Disposition: form-data; name=a\r\n\r\n")
                  .find("RFC 2046 5.1.1"),
              std::string::npos)
        << line;
}

struct HeadRow {
  ByteView head;
  ByteView expected;  // of the transcript
};

TEST(Multipart, ReadsNamesAsBrowsersSendThem) {
  for (auto const& [head, expected] : {
           HeadRow{"name=\"a b\"; filename=\"x y.txt\"", "<a b[x y.txt]></>"},
           HeadRow{R"(name="a%22b%0D%0Ac%41%")", "<a\"b\r\nc%41%></>"},
           HeadRow{R"(name="q\"uote\\d"; filename="C:\new\x.txt")",
                   "<q\"uote\\d[C:\\new\\x.txt]></>"},
           HeadRow{"NAME=a ; FileName=b;", "<a[b]></>"},
           HeadRow{"name=\"Gr\xc3\xbc\xc3\x9f"
                   "e\"",
                   "<Gr\xc3\xbc\xc3\x9f"
                   "e></>"},
           // RFC 7578 4.2: not to be used.
           HeadRow{"name=a; filename*=UTF-8''x.txt", "<a></>"},
           HeadRow{"name=a; filename=\"y\"; filename*=UTF-8''x.txt", "<a[y]></>"},
           HeadRow{"name=a\r\nContent-Type: text/plain\r\nX-Other: 1", "<a text/plain></>"},
           HeadRow{"name=a\r\nContent-Transfer-Encoding: Binary", "<a></>"},
       })
    EXPECT_EQ(parsed(part(head, "") + "--bound--"), expected) << head;
}

TEST(Multipart, RefusesHeadsThatSayNothingOrTwoThings) {
  for (ByteView const head : {
           "--bound\r\n\r\n1\r\n",
           "--bound\r\nContent-Type: text/plain\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data; name=a b\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data; name=a\r\n"
           "Content-Disposition: form-data; name=b\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition : form-data; name=a\r\n\r\n1\r\n",
           "--bound\r\nContent-Disposition: form-data; name=a\nX: 1\r\n\r\n1\r\n",
       })
    EXPECT_NE(parsed(std::string(head) + "--bound--").find("RFC 7578 4.2"), std::string::npos)
        << head;
  auto const encoded = part("name=a\r\nContent-Transfer-Encoding: base64", "MQ==");
  EXPECT_NE(parsed(encoded + "--bound--").find("RFC 7578 4.7"), std::string::npos);
}

TEST(Multipart, HoldsEachLimit) {
  std::string const name(10, 'n'), padding(20, ' ');
  auto const body = part("name=" + name, "12") + "--bound" + padding +
                    "\r\nContent-Disposition: form-data; name=b; filename=" + name +
                    "\r\n\r\n1\r\n--bound--";
  // The second head, without the empty line.
  auto const head_bytes = ByteView("Content-Disposition: form-data; name=b; filename=").size() + 12;
  struct Row {
    ByteView name;
    std::size_t FormLimits::*limit;
    std::size_t exactly;
  };
  for (auto const& row : {Row{"parts", &FormLimits::parts, 2},
                          Row{"part_head_bytes", &FormLimits::part_head_bytes, head_bytes},
                          Row{"name_bytes", &FormLimits::name_bytes, 10}}) {
    FormLimits limits;
    limits.*row.limit = row.exactly;
    EXPECT_EQ(whole(body, limits), "<nnnnnnnnnn>12</><b[nnnnnnnnnn]>1</>") << row.name;
    limits.*row.limit = row.exactly - 1;
    auto const refused = "FormLimits." + std::string(row.name) + "=";
    EXPECT_NE(whole(body, limits).find(refused), std::string::npos) << row.name;
  }
  FormLimits limits;
  limits.total_bytes = body.size();
  EXPECT_EQ(whole(body, limits).find('!'), std::string::npos);
  limits.total_bytes = body.size() - 1;
  EXPECT_NE(whole(body, limits).find("FormLimits.total_bytes="), std::string::npos);
}

TEST(Multipart, LimitsPaddingAsItLimitsHeads) {
  FormLimits limits;
  limits.part_head_bytes = 60;
  auto const body = [](std::size_t blanks) {
    return "--bound" + std::string(blanks, ' ') +
           "\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--bound--";
  };
  EXPECT_EQ(whole(body(60), limits), "<a></>");
  EXPECT_NE(whole(body(61), limits).find("part_head_bytes"), std::string::npos);
}

}  // namespace
}  // namespace millrace::forms
