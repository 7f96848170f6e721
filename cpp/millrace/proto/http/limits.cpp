#include "millrace/proto/http/limits.hpp"

#include <cstring>
#include <string_view>

namespace millrace::http {
namespace {

struct Day {
  std::int64_t year;
  unsigned month, day;  // both from 1
};

// Days since 1970-01-01 to a date of the Gregorian calendar, with years that begin in March so that
// the leap day is the last of its year.
Day day_of(std::int64_t days) {
  days += 719'468;
  auto const era = (days >= 0 ? days : days - 146'096) / 146'097;
  auto const day_of_era = static_cast<unsigned>(days - era * 146'097);
  auto const year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  auto const day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  auto const march_month = (5 * day_of_year + 2) / 153;
  auto const month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * march_month + 2) / 5 + 1};
}

char* put(char* p, std::string_view text) {
  std::memcpy(p, text.data(), text.size());
  return p + text.size();
}
char* put_digits(char* p, std::int64_t value, int width) {
  for (int i = width - 1; i >= 0; --i, value /= 10) p[i] = static_cast<char>('0' + value % 10);
  return p + width;
}

}  // namespace

void DateField::write(std::int64_t unix_seconds) {
  constexpr std::string_view week_days = "ThuFriSatSunMonTueWed";  // 1970-01-01 was a Thursday
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (unix_seconds < 0) unix_seconds = 0;
  auto const days = unix_seconds / 86'400;
  auto const second = unix_seconds % 86'400;
  auto const date = day_of(days);
  char* p = put(text, "Date: ");
  p = put(p, week_days.substr(static_cast<std::size_t>(days % 7) * 3, 3));
  p = put(p, ", ");
  p = put_digits(p, date.day, 2);
  *p++ = ' ';
  p = put(p, months.substr((date.month - 1) * 3, 3));
  *p++ = ' ';
  p = put_digits(p, date.year, 4);
  *p++ = ' ';
  p = put_digits(p, second / 3600, 2);
  *p++ = ':';
  p = put_digits(p, second / 60 % 60, 2);
  *p++ = ':';
  p = put_digits(p, second % 60, 2);
  p = put(p, " GMT\r\n");
  size = static_cast<std::size_t>(p - text);
}

}  // namespace millrace::http
