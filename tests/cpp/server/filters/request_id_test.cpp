#include "one_filter.hpp"

namespace millrace::server {
namespace {

class RequestId : public OneFilter {
 protected:
  void SetUp() override {
    handler = [this](conn::Exchange& x) {
      seen.clear();
      for (std::size_t i = 0; i < x.head.size(); ++i)
        if (http::equals_ignoring_case(x.head.name(i), "x-request-id"))
          seen.emplace_back(x.head.value(i));
      x.reply({}, {});
    };
  }
  void name_them(bool trusted) {
    filter("request_id", {{"header", std::string("X-Request-ID")}, {"trusted", trusted}});
  }
  std::vector<std::string> seen;
};

TEST_F(RequestId, IsTheSameForTheHandlerAndTheClient) {
  name_them(false);
  auto const first = field_of(get(), "X-Request-ID");
  ASSERT_EQ(first.size(), 36u);
  EXPECT_EQ(first[14], '7');
  EXPECT_EQ(seen, std::vector{first});
  EXPECT_NE(field_of(get(), "X-Request-ID"), first);
}

TEST_F(RequestId, TakesNobodysWord) {
  name_them(false);
  auto const id = field_of(get("x-request-id: theirs\r\nX-REQUEST-ID: too\r\n"), "X-Request-ID");
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(seen, std::vector{id});
}

TEST_F(RequestId, TakesATrustedOneIfItIsWellFormed) {
  name_them(true);
  auto const longest = std::string(128, 'a');
  for (auto const& id : {std::string("a-Z_0.~+/=:@"), longest}) {
    EXPECT_EQ(field_of(get("X-Request-ID: " + id + "\r\n"), "X-Request-ID"), id);
    EXPECT_EQ(seen, std::vector{id});
  }
  for (auto const& id : {std::string(), longest + "a", std::string("a b"), std::string("a,b"),
                         std::string("\"a\""), std::string("\xc3\xa4")}) {
    auto const made = field_of(get("X-Request-ID: " + id + "\r\n"), "X-Request-ID");
    EXPECT_EQ(made.size(), 36u) << id;
    EXPECT_EQ(seen, std::vector{made});
  }
}

TEST_F(RequestId, GivesWayToTheHandlers) {
  handler = [](conn::Exchange& x) {
    http::ResponseHead head;
    head.fields.add("x-request-id", "mine");
    x.reply(std::move(head), {});
  };
  name_them(false);
  auto const answer = get();
  EXPECT_EQ(field_of(answer, "x-request-id"), "mine");
  EXPECT_EQ(field_of(answer, "X-Request-ID"), "-");
}

}  // namespace
}  // namespace millrace::server
