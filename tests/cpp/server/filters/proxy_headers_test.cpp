#include "one_filter.hpp"

namespace millrace::server {
namespace {

// The peer of a pipe in memory has no address: who speaks for it is "*", and hops have addresses.
class ProxyHeaders : public OneFilter {
 protected:
  void SetUp() override {
    handler = [](conn::Exchange& x) {
      auto const client = x.filtered().client;
      auto const text = (client ? client->to_string() : "nobody") +
                        (x.is_secure() ? " https " : " http ") + std::string(x.head.authority());
      x.reply({}, base::Bytes::from(text));
    };
  }
  void believe(std::vector<std::string> trusted, bool forwarded, bool host = true) {
    filter("proxy_headers",
           {{"trusted", std::move(trusted)}, {"forwarded", forwarded}, {"host", host}});
  }
  std::string told(std::string_view lines) {
    auto const answer = get(lines);
    return answer.substr(answer.find("\r\n\r\n") + 4);
  }
  std::uint64_t malformed() { return reactor.counters().forwarded_malformed.get(); }
};

TEST_F(ProxyHeaders, OfWhoIsNotTrustedAreNotBelieved) {
  believe({"127.0.0.1", "10.0.0.0/8"}, false);
  EXPECT_EQ(told("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
                 "X-Forwarded-Host: b.example\r\n"),
            "nobody http a.example");
  EXPECT_EQ(told("X-Forwarded-For: nonsense\r\n"), "nobody http a.example");
  EXPECT_EQ(malformed(), 0u);
}

TEST_F(ProxyHeaders, AreReadFromTheRightWhereEverybodyIsTrusted) {
  believe({"*"}, false);
  EXPECT_EQ(told("X-Forwarded-For: 203.0.113.9, 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2:81\r\n"),
            "203.0.113.9:0 http a.example");
  EXPECT_EQ(told("X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: HTTPS\r\n"),
            "[2001:db8::1]:0 https a.example");
  EXPECT_EQ(told("X-Forwarded-Proto: wss\r\nX-Forwarded-Host: b.example:81\r\n"),
            "nobody https b.example:81");
  EXPECT_EQ(told(""), "nobody http a.example");
  EXPECT_EQ(malformed(), 0u);
}

TEST_F(ProxyHeaders, ThatCannotBeReadAreIgnoredFromThereOnAndCounted) {
  believe({"*"}, false);
  EXPECT_EQ(told("X-Forwarded-For: 203.0.113.9, nonsense, 10.0.0.2\r\n"),
            "10.0.0.2:0 http a.example");
  EXPECT_EQ(malformed(), 1u);
  EXPECT_EQ(told("X-Forwarded-Proto: gopher\r\n"), "nobody http a.example");
  EXPECT_EQ(malformed(), 2u);
  EXPECT_EQ(told("X-Forwarded-Host: a/b\r\n"), "nobody http a.example");
  EXPECT_EQ(malformed(), 3u);
  EXPECT_EQ(told("X-Forwarded-For: 10.0.0.2:65536\r\n"), "nobody http a.example");
  EXPECT_EQ(malformed(), 4u);
}

TEST_F(ProxyHeaders, OfTheOtherKindAreNotLookedAt) {
  believe({"*"}, false);
  EXPECT_EQ(told("Forwarded: for=203.0.113.9;proto=https\r\n"), "nobody http a.example");
}

TEST_F(ProxyHeaders, OfTheStandardSayAllAtOnce) {
  believe({"*"}, true);
  EXPECT_EQ(told("Forwarded: for=\"[2001:db8::1]:81\";proto=https;host=b.example\r\n"
                 "Forwarded: for=10.0.0.1;proto=http;host=c.example\r\n"
                 "X-Forwarded-For: 203.0.113.9\r\n"),
            "[2001:db8::1]:81 https b.example");
  EXPECT_EQ(told("Forwarded: proto=https;for=203.0.113.9, for=unknown\r\n"),
            "nobody http a.example");
  EXPECT_EQ(told("Forwarded: for=203.0.113.9, for=_hidden;proto=https, for=10.0.0.1\r\n"),
            "10.0.0.1:0 https a.example");
  EXPECT_EQ(malformed(), 0u);
}

TEST_F(ProxyHeaders, OfTheStandardAreIgnoredAsAWholeWhereOnePartIsMalformed) {
  believe({"*"}, true);
  EXPECT_EQ(told("Forwarded: for=\"203.0.113.9\r\nForwarded: for=10.0.0.1\r\n"),
            "nobody http a.example");
  EXPECT_EQ(malformed(), 1u);
}

TEST_F(ProxyHeaders, MayKeepQuietAboutTheHost) {
  believe({"*"}, false, false);
  EXPECT_EQ(told("X-Forwarded-Host: b.example\r\n"), "nobody http a.example");
}

TEST_F(ProxyHeaders, NeedNetworksThatAreSome) {
  auto const made = Filters::make({{"proxy_headers", "",
                                    Settings({{"trusted", std::vector<std::string>{"10.0.0.1/8"}},
                                              {"forwarded", false},
                                              {"host", false}})}});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().detail.find("10.0.0.1/8"), std::string::npos);
}

}  // namespace
}  // namespace millrace::server
