// The table of filters, and how they are made.
#include "millrace/server/filters/filters.hpp"

#include <gtest/gtest.h>

namespace millrace::server {
namespace {

Settings security(std::vector<std::string> names, std::vector<std::string> values) {
  return Settings({{"names", std::move(names)},
                   {"values", std::move(values)},
                   {"secure_names", std::vector<std::string>{}},
                   {"secure_values", std::vector<std::string>{}}});
}

TEST(Filters, AreMadeInTheirOrder) {
  auto made = Filters::make({{"security_headers", "", security({"X-A"}, {"1"})},
                             {"security_headers", "/api", security({}, {})}});
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->empty());
}

TEST(Filters, OfUnknownKindsAreRefused) {
  auto const made = Filters::make({{"no_such", "", {}}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::Errc::invalid_option);
  EXPECT_NE(made.error().detail.find("no_such"), std::string::npos);
}

TEST(Filters, WantTheirSettingsOfTheRightType) {
  auto const missing = Filters::make({{"security_headers", "", {}}});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().detail.find("is missing"), std::string::npos);
  auto const wrong = Filters::make({{"security_headers", "", Settings({{"names", true}})}});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().detail.find("another type"), std::string::npos);
}

TEST(Filters, RefuseFieldsThatCannotBeSent) {
  EXPECT_FALSE(Filters::make({{"security_headers", "", security({"X-A"}, {"a\r\nb"})}}));
  EXPECT_FALSE(Filters::make({{"security_headers", "", security({"X A"}, {"a"})}}));
}

}  // namespace
}  // namespace millrace::server
