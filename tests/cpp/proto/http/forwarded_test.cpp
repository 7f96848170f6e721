#include "millrace/proto/http/forwarded.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

// "for|host|proto" of each hop; "malformed".
std::string told(base::ByteView field) {
  auto const hops = read_forwarded(field);
  if (!hops) return "malformed";
  std::string text;
  for (auto const& hop : *hops)
    text += (text.empty() ? "" : " ") + hop.for_node + '|' + hop.host + '|' + hop.proto;
  return text;
}

TEST(Forwarded, ReadsTheExamplesOfItsStandard) {  // RFC 7239 4, 7.1
  EXPECT_EQ(told("for=\"_gazonk\""), "_gazonk||");
  EXPECT_EQ(told("For=\"[2001:db8:cafe::17]:4711\""), "[2001:db8:cafe::17]:4711||");
  EXPECT_EQ(told("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60||http");
  EXPECT_EQ(told("for=192.0.2.43, for=198.51.100.17"), "192.0.2.43|| 198.51.100.17||");
  EXPECT_EQ(told("for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"),
            "192.0.2.43|| [2001:db8:cafe::17]|| unknown||");
}

TEST(Forwarded, TakesQuotesBlanksAndEmptyMembers) {
  EXPECT_EQ(told("host=\"a.example:80\";PROTO=https"), "|a.example:80|https");
  EXPECT_EQ(told("for=\"a\\\"b,c;d\""), "a\"b,c;d||");
  EXPECT_EQ(told("for=a; proto=http ,, for=b;"), "a||http b||");
  EXPECT_EQ(told(" , "), "");
  EXPECT_EQ(told(""), "");
  EXPECT_EQ(told("secret=x"), "||");
}

TEST(Forwarded, RefusesTheWholeWhereOnePartIsMalformed) {
  for (auto const* field :
       {"for", "for=", "for=a b", "=a", "for=\"a", "for=\"a\\", "for=a;for=b", "for=a;FOR=b",
        "for=[::1]", "for=a, host", "for=a\"b\"", "for=\"a\"b", "a@b=c"})
    EXPECT_EQ(told(field), "malformed") << field;
}

std::string node(base::ByteView text) {
  auto const read = read_forwarded_node(text);
  return read ? std::string(read->address) + " " + std::to_string(read->port) : "malformed";
}

TEST(ForwardedNode, HasAnAddressAndPerhapsAPort) {
  EXPECT_EQ(node("192.0.2.43"), "192.0.2.43 0");
  EXPECT_EQ(node("192.0.2.43:65535"), "192.0.2.43 65535");
  EXPECT_EQ(node("[2001:db8::17]"), "2001:db8::17 0");
  EXPECT_EQ(node("[2001:db8::17]:47"), "2001:db8::17 47");
  EXPECT_EQ(node("2001:db8::17"), "2001:db8::17 0");
  EXPECT_EQ(node("192.0.2.43:_hidden"), "192.0.2.43 0");
}

TEST(ForwardedNode, MayBeKeptBack) {
  EXPECT_EQ(node("unknown"), " 0");
  EXPECT_EQ(node("Unknown:80"), " 80");
  EXPECT_EQ(node("_SEVKISEK-.x"), " 0");
}

TEST(ForwardedNode, IsRefusedWhereItCannotBeRead) {
  for (auto const* text : {"", ":80", "[::1", "[]", "[::1]80", "1.2.3.4:", "1.2.3.4:65536",
                           "1.2.3.4:-1", "1.2.3.4:8x", "1.2.3.4:_"})
    EXPECT_EQ(node(text), "malformed") << text;
}

}  // namespace
}  // namespace millrace::http
