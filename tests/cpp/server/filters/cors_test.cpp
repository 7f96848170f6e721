#include "one_filter.hpp"

namespace millrace::server {
namespace {

class CORS : public OneFilter {
 protected:
  static Values rules(std::vector<std::string> origins, bool any = false) {
    return {{"origins", std::move(origins)}, {"any_origin", any},
            {"credentials", false},          {"methods", std::string("GET, PUT")},
            {"headers", std::string("X-A")}, {"exposed", std::string("X-B")},
            {"max_age", std::string("60")}};
  }
  std::string preflight(std::string_view origin, std::string_view more = "") {
    return ask("OPTIONS /", "Host: a\r\nOrigin: " + std::string(origin) +
                                "\r\nAccess-Control-Request-Method: PUT\r\n" + std::string(more));
  }
};

TEST_F(CORS, AnOriginByNameMayReadAnswers) {
  filter("cors", rules({"https://a.example"}));
  auto const answer = get("Origin: https://a.example\r\n");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(field_of(answer, "Access-Control-Expose-Headers"), "X-B");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Credentials"), "-");
  EXPECT_EQ(field_of(answer, "Vary"), "Origin");
  EXPECT_TRUE(answer.ends_with("handler"));
}

TEST_F(CORS, OthersGetTheirAnswerWithoutIt) {
  filter("cors", rules({"https://a.example", "https://*.b.example"}));
  for (auto const* lines :
       {"", "Origin: https://c.example\r\n", "Origin: https://a.example:8443\r\n",
        "Origin: http://a.example\r\n", "Origin: null\r\n", "Origin: https://b.example\r\n",
        "Origin: https://x/.b.example\r\n", "Origin: https://.b.example\r\n"}) {
    auto const answer = get(lines);
    EXPECT_EQ(field_of(answer, "Access-Control-Allow-Origin"), "-") << lines;
    EXPECT_EQ(field_of(answer, "Vary"), "Origin") << lines;
    EXPECT_EQ(status_of(answer), 200) << lines;
  }
  EXPECT_EQ(field_of(get("Origin: https://x.y.b.example\r\n"), "Access-Control-Allow-Origin"),
            "https://x.y.b.example");
}

TEST_F(CORS, AnyOriginNeedsNoVary) {
  filter("cors", rules({}, true));
  auto const answer = get("Origin: https://a.example\r\n");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(field_of(answer, "Vary"), "-");
}

TEST_F(CORS, APreflightNeverReachesTheHandler) {
  filter("cors", rules({"https://a.example"}));
  auto const answer = preflight("https://a.example", "Access-Control-Request-Headers: x-z\r\n");
  EXPECT_EQ(status_of(answer), 204);
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Methods"), "GET, PUT");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Headers"), "X-A");
  EXPECT_EQ(field_of(answer, "Access-Control-Max-Age"), "60");
  EXPECT_EQ(field_of(answer, "Access-Control-Expose-Headers"), "-");
  EXPECT_EQ(field_of(answer, "Vary"), "Origin");
}

TEST_F(CORS, APreflightOfAnotherOriginIsRefusedAndCounted) {
  filter("cors", rules({"https://a.example"}));
  auto const answer = preflight("https://c.example");
  EXPECT_EQ(status_of(answer), 403);
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Origin"), "-");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Methods"), "-");
  EXPECT_EQ(reactor.counters().requests_denied.get(), 1u);
}

TEST_F(CORS, OptionsThatAskForNoMethodAreTheHandlers) {
  filter("cors", rules({"https://a.example"}));
  EXPECT_EQ(status_of(ask("OPTIONS /", "Host: a\r\nOrigin: https://a.example\r\n")), 200);
}

TEST_F(CORS, WithCredentialsWhatIsAskedForIsRepeated) {
  auto settings = rules({"https://a.example"});
  settings["credentials"] = true;
  settings["methods"] = settings["headers"] = std::string("*");
  filter("cors", settings);
  auto const answer = preflight("https://a.example", "Access-Control-Request-Headers: x-y,x-z\r\n");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Methods"), "PUT");
  EXPECT_EQ(field_of(answer, "Access-Control-Allow-Headers"), "x-y,x-z");
}

TEST_F(CORS, CredentialsForEverybodyAreRefused) {
  auto settings = rules({}, true);
  settings["credentials"] = true;
  auto const made = Filters::make({{"cors", "", Settings(settings)}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::Errc::invalid_option);
}

}  // namespace
}  // namespace millrace::server
