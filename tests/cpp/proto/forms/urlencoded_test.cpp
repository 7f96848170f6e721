// WHATWG URL 5.1.
#include "millrace/proto/forms/urlencoded.hpp"

#include <gtest/gtest.h>

#include "millrace/proto/forms/form_type.hpp"

namespace millrace::forms {
namespace {

using base::ByteView;

std::string shown(UrlencodedParser& parser) {
  if (auto const status = parser.finish(); !status) return status.error().message();
  std::string text;
  for (auto const& [name, value] : parser.pairs())
    text.append("[").append(name).append("=").append(value).append("]");
  return text;
}

std::string parsed(ByteView body) {
  std::string expected;
  for (std::size_t at = 0; at <= body.size(); ++at) {
    UrlencodedParser parser({});
    EXPECT_TRUE(parser.put(body.substr(0, at)) && parser.put(body.substr(at)));
    auto const text = shown(parser);
    if (at == 0) expected = text;
    EXPECT_EQ(text, expected) << at;
  }
  return expected;
}

TEST(Urlencoded, DecodesNamesAndValues) {
  EXPECT_EQ(parsed("a=1&b=x+y%26%C3%bc"), "[a=1][b=x y&\xc3\xbc]");
  EXPECT_EQ(parsed("a+b=c=d&e&=f&=&&"), "[a b=c=d][e=][=f][=]");
  EXPECT_EQ(parsed(""), "");
}

TEST(Urlencoded, LetsEscapesThatAreNoneStand) {
  EXPECT_EQ(parsed("a=%&b=%4&c=%4g&%=%%41"), "[a=%][b=%4][c=%4g][%=%A]");
}

TEST(Urlencoded, HoldsItsLimits) {
  FormLimits limits;
  limits.pairs = 2;
  limits.urlencoded_bytes = 7;
  UrlencodedParser at(limits), more_pairs(limits), more_bytes(limits);
  EXPECT_TRUE(at.put("a=1") && at.put("&b=2"));
  EXPECT_EQ(shown(at), "[a=1][b=2]");
  EXPECT_TRUE(more_pairs.put("a&b&c"));
  EXPECT_NE(shown(more_pairs).find("FormLimits.pairs=2"), std::string::npos);
  EXPECT_TRUE(more_bytes.put("a=1&b=2"));
  auto const status = more_bytes.put("3");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().detail, "FormLimits.urlencoded_bytes=7");
}

std::string kind_of(ByteView content_type) {
  auto const type = read_form_type(content_type);
  if (!type) return std::string(base::describe(type.error().code).name);
  return type.value().kind == FormType::Kind::urlencoded ? "urlencoded"
                                                         : "multipart " + type.value().boundary;
}

TEST(FormType, IsReadFromTheContentType) {
  EXPECT_EQ(kind_of("application/x-www-form-urlencoded"), "urlencoded");
  EXPECT_EQ(kind_of("Application/X-WWW-form-urlencoded; charset=UTF-8"), "urlencoded");
  EXPECT_EQ(kind_of("multipart/form-data; boundary=----WebKitFormBoundary7MA"),
            "multipart ----WebKitFormBoundary7MA");
  EXPECT_EQ(kind_of("Multipart/Form-Data ; charset=x ; Boundary=\"a b:c\""), "multipart a b:c");
  std::string const seventy(70, 'b');
  EXPECT_EQ(kind_of("multipart/form-data; boundary=" + seventy), "multipart " + seventy);
}

TEST(FormType, RefusesABoundaryThatIsNone) {
  for (ByteView const parameters :
       {"", "; boundary=", "; boundary=\"\"", "; boundary=\"a \"", "; boundary=a; boundary=b",
        "; boundary=\"a\\\"b\"", "; boundary=\"unclosed", "; boundary=a b",
        "; boundary=\"\xc3\xbc\""})
    EXPECT_EQ(kind_of("multipart/form-data" + std::string(parameters)), "malformed_message")
        << parameters;
  EXPECT_EQ(kind_of("multipart/form-data; boundary=" + std::string(71, 'b')), "malformed_message");
}

TEST(FormType, RefusesOtherTypes) {
  for (ByteView const type : {"", "application/json", "multipart/mixed; boundary=b", "multipart"})
    EXPECT_EQ(kind_of(type), "unsupported_media_type") << type;
}

}  // namespace
}  // namespace millrace::forms
