// The filter that knows who may come in.
#include "one_filter.hpp"

namespace millrace::server {
namespace {

class CredentialsFilter : public OneFilter {
 protected:
  void accept(std::vector<std::string> accepted, std::string scheme = "bearer") {
    filter("credentials", {{"scheme", std::move(scheme)},
                           {"accepted", std::move(accepted)},
                           {"challenge", std::string("Bearer first")},
                           {"challenge_again", std::string("Bearer again")}});
  }
  std::string with(std::string_view value) {
    return get("Authorization: " + std::string(value) + "\r\n");
  }
};

TEST_F(CredentialsFilter, LetsInWhomItKnows) {
  accept({"abc", "t0ken-._~+/=="});
  for (auto const* value :
       {"Bearer abc", "bearer abc", "BEARER   abc", "Bearer t0ken-._~+/==", "Bearer abc "})
    EXPECT_EQ(status_of(with(value)), 200) << value;
  EXPECT_EQ(reactor.counters().requests_denied.get(), 0u);
}

TEST_F(CredentialsFilter, LetsNobodyElseIn) {
  accept({"abc", "abcd"});
  for (auto const* value : {"Bearer ab", "Bearer abx", "Bearer xbc", "Bearer abcde", "Bearer ABC",
                            "Bearer abc abc", "Bearer abc,", "Bearer", "Bearer  "}) {
    auto const answer = with(value);
    EXPECT_EQ(status_of(answer), 401) << value;
    EXPECT_EQ(field_of(answer, "WWW-Authenticate"), "Bearer again") << value;
  }
  EXPECT_EQ(reactor.counters().requests_denied.get(), 9u);
}

TEST_F(CredentialsFilter, AsksThoseWhoSayNothingOfTheScheme) {
  accept({"abc"});
  for (auto const* lines : {"", "Authorization:\r\n", "Authorization: abc\r\n",
                            "Authorization: Basic abc\r\n", "Authorization: Bearerabc\r\n",
                            "Authorization: Bearer\tabc\r\n", "Proxy-Authorization: Bearer abc\r\n",
                            "Authorization: Bearer abc\r\nAuthorization: Bearer abc\r\n"}) {
    auto const answer = get(lines);
    EXPECT_EQ(status_of(answer), 401) << lines;
    EXPECT_EQ(field_of(answer, "WWW-Authenticate"), "Bearer first") << lines;
  }
}

TEST_F(CredentialsFilter, LetsNobodyInWhereNobodyIsAccepted) {
  accept({});
  EXPECT_EQ(status_of(with("Bearer abc")), 401);
  EXPECT_EQ(status_of(with("Bearer ")), 401);
}

TEST(MakingTheCredentialsFilter, RefusesAnEmptyOne) {
  auto const made = Filters::make({{"credentials", "",
                                    Settings({{"scheme", std::string("bearer")},
                                              {"accepted", std::vector<std::string>{"a", ""}},
                                              {"challenge", std::string("Bearer")},
                                              {"challenge_again", std::string("Bearer")}})}});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message().find("empty"), std::string::npos);
}

}  // namespace
}  // namespace millrace::server
