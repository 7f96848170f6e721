// RFC 9110 5.6.7.
#include "millrace/proto/http/date.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

constexpr std::int64_t example = 784'111'777;  // the RFC's
constexpr std::int64_t now = 1'800'000'000;    // in 2027

TEST(Dates, AreWrittenInTheUsualForm) {
  EXPECT_EQ(date_text(example), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date_text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date_text(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(date_text(-1), date_text(0));
  EXPECT_EQ(date_text(253'402'300'800), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(Dates, AreReadInAllThreeForms) {
  EXPECT_EQ(read_date("Sun, 06 Nov 1994 08:49:37 GMT", now), example);
  EXPECT_EQ(read_date("Sunday, 06-Nov-94 08:49:37 GMT", now), example);
  EXPECT_EQ(read_date("Sun Nov  6 08:49:37 1994", now), example);
  EXPECT_EQ(read_date("Wed Nov 16 08:49:37 1994", now), example + 10 * 86'400);
}

TEST(Dates, ComeBackAsTheyWere) {
  for (std::int64_t second = 0; second < 100LL * 366 * 86'400; second += 86'399 * 13 + 7)
    ASSERT_EQ(read_date(date_text(second), now), second);
}

TEST(Dates, OfTwoDigitsLieAtMostFiftyYearsAhead) {
  EXPECT_EQ(read_date("Friday, 01-Jan-77 00:00:00 GMT", now), 3'376'684'800);  // 2077
  EXPECT_EQ(read_date("Sunday, 01-Jan-78 00:00:00 GMT", now), 252'460'800);    // 1978
}

TEST(Dates, ThatCannotBeReadAreNone) {
  for (auto const* text : {"",
                           "0",
                           "Sun",
                           "Sunday",
                           "Xyz, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 06 Nov 1994 08:49:37 GMT ",
                           " Sun, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 06 nov 1994 08:49:37 GMT",
                           "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Sun, 31 Nov 1994 08:49:37 GMT",
                           "Sun, 29 Feb 1900 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:37 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, 06 Nov 94 08:49:37 GMT",
                           "Sun, 06 anF 1994 08:49:37 GMT",
                           "Sunday, 06-Nov-1994 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994",
                           "Sun Nov 06 08:49:37 1994 GMT",
                           "Sun, -6 Nov 1994 08:49:37 GMT",
                           "1994-11-06T08:49:37Z"})
    EXPECT_EQ(read_date(text, now), std::nullopt) << text;
}

}  // namespace
}  // namespace millrace::http
