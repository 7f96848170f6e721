// Filters that go by the host that is asked for.
#include "one_filter.hpp"

#include "millrace/server/filters/host_pattern.hpp"

namespace millrace::server {
namespace {

class Hosts : public OneFilter {
 protected:
  void trust(std::vector<std::string> hosts) {
    filter("trusted_hosts", {{"hosts", std::move(hosts)}});
  }
  int of_host(std::string_view host) {
    return status_of(ask("GET /", "Host: " + std::string(host) + "\r\n"));
  }
};

TEST(HostPattern, HasOneStarAtMost) {
  EXPECT_TRUE(fits("A.Example", "a.example"));
  EXPECT_TRUE(fits("x.y.a.example", "*.a.example"));
  EXPECT_TRUE(fits("anything", "*"));
  EXPECT_FALSE(fits("", "*"));
  EXPECT_FALSE(fits("a.example", "*.a.example"));
  EXPECT_FALSE(fits(".a.example", "*.a.example"));
  EXPECT_FALSE(fits("xa.example", "*.a.example"));
  EXPECT_FALSE(fits("a/b.a.example", "*.a.example"));
}

TEST_F(Hosts, WithAnyPortAndInAnyLetterCaseAreTrusted) {
  trust({"a.example", "*.b.example", "[::1]"});
  for (auto const* host :
       {"a.example", "A.Example:8000", "a.example.", "x.b.example:1", "[::1]", "[::1]:8000"})
    EXPECT_EQ(of_host(host), 200) << host;
  EXPECT_EQ(reactor.counters().requests_denied.get(), 0u);
}

TEST_F(Hosts, OfOthersAreMisdirected) {
  trust({"a.example", "*.b.example"});
  for (auto const* host : {"c.example", "b.example", "xa.example", "[::1]", "a.example.evil"})
    EXPECT_EQ(of_host(host), 421) << host;
  EXPECT_EQ(reactor.counters().requests_denied.get(), 5u);
}

TEST_F(Hosts, InTheTargetCountMoreThanTheField) {  // RFC 9112 3.2.2
  trust({"a.example"});
  EXPECT_EQ(status_of(ask("GET http://a.example/", "Host: c.example\r\n")), 200);
  EXPECT_EQ(status_of(ask("GET http://c.example/", "Host: a.example\r\n")), 421);
}

class HTTPSRedirect : public OneFilter {
 protected:
  void redirect(std::int64_t status, std::int64_t port) {
    filter("https_redirect", {{"status", status}, {"port", port}});
  }
};

TEST_F(HTTPSRedirect, KeepsHostPathAndQuery) {
  redirect(308, 443);
  auto const answer = ask("POST /a%20b//c?d=e%2f", "Host: a.example:8000\r\n");
  EXPECT_EQ(status_of(answer), 308);
  EXPECT_EQ(field_of(answer, "Location"), "https://a.example/a%20b//c?d=e%2f");
}

TEST_F(HTTPSRedirect, NamesAnotherPort) {
  redirect(307, 8443);
  auto const answer = ask("GET /", "Host: [::1]:8000\r\n");
  EXPECT_EQ(status_of(answer), 307);
  EXPECT_EQ(field_of(answer, "Location"), "https://[::1]:8443/");
}

TEST_F(HTTPSRedirect, TakesThePathOutOfAWholeUrl) {
  redirect(308, 443);
  for (auto const& [target, location] : std::initializer_list<std::pair<const char*, const char*>>{
           {"http://b.example", "https://b.example/"},
           {"http://b.example/x?y", "https://b.example/x?y"},
           {"http://b.example:81//evil.example/", "https://b.example//evil.example/"}}) {
    auto const answer = ask(std::string("GET ") + target, "Host: a\r\n");
    EXPECT_EQ(field_of(answer, "Location"), location);
  }
}

TEST_F(HTTPSRedirect, LetsTheServerAsAWholeBeAndNeedsAHost) {
  redirect(308, 443);
  EXPECT_EQ(status_of(ask("OPTIONS *", "Host: a\r\n")), 200);
  peer->heard.clear();
  peer->says("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(status_of(peer->heard), 400);  // there is no host to name
}

TEST_F(HTTPSRedirect, NeverLoopsBehindATrustedProxy) {
  filters(
      {{"proxy_headers", "",
        Settings(
            {{"trusted", std::vector<std::string>{"*"}}, {"forwarded", false}, {"host", false}})},
       {"https_redirect", "",
        Settings({{"status", std::int64_t{308}}, {"port", std::int64_t{443}}})}});
  EXPECT_EQ(status_of(get("X-Forwarded-Proto: https\r\n")), 200);
  EXPECT_EQ(status_of(get("X-Forwarded-Proto: http\r\n")), 308);
}

}  // namespace
}  // namespace millrace::server
