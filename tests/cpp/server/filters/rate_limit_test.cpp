#include "one_filter.hpp"

namespace millrace::server {
namespace {

class RateLimit : public OneFilter {
 protected:
  static Values rules(std::int64_t burst, std::string key, bool fields = false) {
    return {{"rate", 0.001},
            {"burst", burst},
            {"key", std::move(key)},
            {"keys", std::int64_t{100}},
            {"fields", fields}};
  }
};

TEST_F(RateLimit, AnswersABurstAndRefusesOneMore) {
  filter("rate_limit", rules(2, "client"));
  EXPECT_EQ(status_of(get()), 200);
  EXPECT_EQ(status_of(get()), 200);
  auto const answer = get();
  EXPECT_EQ(status_of(answer), 429);
  auto const wait = std::stoi(field_of(answer, "Retry-After"));
  EXPECT_GT(wait, 900);
  EXPECT_LE(wait, 1000);
  EXPECT_EQ(field_of(answer, "RateLimit"), "-");
  EXPECT_EQ(reactor.counters().requests_limited.get(), 1u);
}

TEST_F(RateLimit, TellsWhatIsLeft) {
  filter("rate_limit", rules(2, "everyone", true));
  auto const first = get();
  EXPECT_EQ(field_of(first, "RateLimit-Policy"), "\"default\";q=2;w=2000");
  EXPECT_EQ(field_of(first, "RateLimit"), "\"default\";r=1;t=1000");
  (void)get();
  EXPECT_TRUE(field_of(get(), "RateLimit").starts_with("\"default\";r=0;t="));
}

TEST_F(RateLimit, CountsByTheValueOfAField) {
  filter("rate_limit", rules(1, "header:X-API-Key"));
  EXPECT_EQ(status_of(get("x-api-key: a\r\n")), 200);
  EXPECT_EQ(status_of(get("x-api-key: b\r\n")), 200);
  EXPECT_EQ(status_of(get("X-API-Key: a\r\n")), 429);
  EXPECT_EQ(status_of(get()), 200);  // by address
  EXPECT_EQ(status_of(get()), 429);
}

TEST_F(RateLimit, CountsClientsBehindProxiesForThemselvesAndIpv6ByItsNetwork) {
  filters(
      {{"proxy_headers", "",
        Settings(
            {{"trusted", std::vector<std::string>{"*"}}, {"forwarded", false}, {"host", false}})},
       {"rate_limit", "", Settings(rules(1, "client"))}});
  auto const from = [this](const char* address) {
    return status_of(get("X-Forwarded-For: " + std::string(address) + "\r\n"));
  };
  EXPECT_EQ(from("203.0.113.8"), 200);
  EXPECT_EQ(from("203.0.113.9"), 200);
  EXPECT_EQ(from("203.0.113.9"), 429);
  EXPECT_EQ(from("::ffff:203.0.113.9"), 429);
  EXPECT_EQ(from("2001:db8:0:1::1"), 200);
  EXPECT_EQ(from("2001:db8:0:1:ffff::"), 429);
  EXPECT_EQ(from("2001:db8:0:2::1"), 200);
}

TEST_F(RateLimit, WantsARateAndABurst) {
  for (auto const& [rate, burst] : std::initializer_list<std::pair<double, std::int64_t>>{
           {0.0, 1}, {-1.0, 1}, {2e9, 1}, {1.0, 0}, {1e-9, 1000}}) {
    auto settings = rules(burst, "client");
    settings["rate"] = rate;
    EXPECT_FALSE(Filters::make({{"rate_limit", "", Settings(settings)}})) << rate;
  }
}

}  // namespace
}  // namespace millrace::server
