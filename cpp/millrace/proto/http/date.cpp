#include "millrace/proto/http/date.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace millrace::http {
namespace {

using base::ByteView;

constexpr std::array<ByteView, 7> days{
    // 1970-01-01 was a Thursday
    "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};
constexpr ByteView months = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::int64_t seconds_per_day = 86'400;
constexpr std::int64_t end_of_9999 = 253'402'300'799;

struct Day {
  std::int64_t year;
  unsigned month, day;  // both from 1
};

// Days since 1970-01-01 to a date of the Gregorian calendar, with years that begin in March so that
// the leap day is the last of its year.
Day day_of(std::int64_t since_1970) {
  auto const since_march_0 = since_1970 + 719'468;
  auto const era = since_march_0 / 146'097;
  auto const day_of_era = static_cast<unsigned>(since_march_0 - era * 146'097);
  auto const year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  auto const day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  auto const march_month = (5 * day_of_year + 2) / 153;
  auto const month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * march_month + 2) / 5 + 1};
}

// And back.
std::int64_t days_until(const Day& date) {
  auto const year = date.year - (date.month <= 2 ? 1 : 0);
  auto const march_month = date.month > 2 ? date.month - 3 : date.month + 9;
  auto const day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
  return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719'468;
}

char* put(char* p, ByteView text) {
  std::memcpy(p, text.data(), text.size());
  return p + text.size();
}
char* put_digits(char* p, std::int64_t value, int width) {
  for (int i = width - 1; i >= 0; --i, value /= 10) p[i] = static_cast<char>('0' + value % 10);
  return p + width;
}

// Takes what a date is made of off the front of a text; once something is not there, all fails.
class Reader {
 public:
  explicit Reader(ByteView text) : text_(text) {}

  void expect(ByteView literal) {
    is_good_ = is_good_ && text_.starts_with(literal);
    if (is_good_) text_.remove_prefix(literal.size());
  }
  unsigned digits(std::size_t count) {
    unsigned value = 0;
    is_good_ = is_good_ && text_.size() >= count;
    for (std::size_t i = 0; is_good_ && i < count; ++i) {
      is_good_ = text_[i] >= '0' && text_[i] <= '9';
      value = value * 10 + static_cast<unsigned>(text_[i] - '0');
    }
    if (is_good_) text_.remove_prefix(count);
    return value;
  }
  // asctime's: a space stands for a first digit that is 0.
  unsigned padded_day() {
    bool const is_padded = text_.starts_with(' ');
    if (is_padded) text_.remove_prefix(1);
    return digits(is_padded ? 1 : 2);
  }
  unsigned month() {
    auto const at = months.find(text_.substr(0, 3));
    is_good_ = is_good_ && text_.size() >= 3 && at != ByteView::npos && at % 3 == 0;
    if (!is_good_) return 1;
    text_.remove_prefix(3);
    return static_cast<unsigned>(at / 3) + 1;
  }
  std::int64_t time_of_day() {
    auto const hour = digits(2);
    expect(":");
    auto const minute = digits(2);
    expect(":");
    auto const second = digits(2);
    is_good_ = is_good_ && hour < 24 && minute < 60 && second <= 60;  // 60: a leap second
    return static_cast<std::int64_t>(hour) * 3600 + minute * 60 + second;
  }
  bool is_done() const { return is_good_ && text_.empty(); }

 private:
  ByteView text_;
  bool is_good_ = true;
};

bool exists(const Day& date) {
  constexpr std::array<unsigned, 12> lengths{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool const is_leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
  if (date.day == 0 || date.day > lengths[date.month - 1]) return false;
  return date.month != 2 || date.day < 29 || is_leap;
}

std::optional<std::int64_t> moment(const Reader& reader, const Day& date, std::int64_t time) {
  if (!reader.is_done() || !exists(date)) return std::nullopt;
  return days_until(date) * seconds_per_day + time;
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<std::int64_t> read_usual(ByteView behind_day) {
  Reader reader(behind_day);
  Day date{};
  reader.expect(", ");
  date.day = reader.digits(2);
  reader.expect(" ");
  date.month = reader.month();
  reader.expect(" ");
  date.year = reader.digits(4);
  reader.expect(" ");
  auto const time = reader.time_of_day();
  reader.expect(" GMT");
  return moment(reader, date, time);
}

// Sunday, 06-Nov-94 08:49:37 GMT
std::optional<std::int64_t> read_rfc850(ByteView behind_day, std::int64_t now) {
  Reader reader(behind_day);
  Day date{};
  reader.expect(", ");
  date.day = reader.digits(2);
  reader.expect("-");
  date.month = reader.month();
  reader.expect("-");
  auto const this_year = day_of(std::max<std::int64_t>(now, 0) / seconds_per_day).year;
  date.year = this_year - this_year % 100 + reader.digits(2);
  if (date.year > this_year + 50) date.year -= 100;
  reader.expect(" ");
  auto const time = reader.time_of_day();
  reader.expect(" GMT");
  return moment(reader, date, time);
}

// Sun Nov  6 08:49:37 1994
std::optional<std::int64_t> read_asctime(ByteView behind_day) {
  Reader reader(behind_day);
  Day date{};
  reader.expect(" ");
  date.month = reader.month();
  reader.expect(" ");
  date.day = reader.padded_day();
  reader.expect(" ");
  auto const time = reader.time_of_day();
  reader.expect(" ");
  date.year = reader.digits(4);
  return moment(reader, date, time);
}

}  // namespace

char* write_date(char* p, std::int64_t unix_seconds) {
  unix_seconds = std::clamp<std::int64_t>(unix_seconds, 0, end_of_9999);
  auto const day = unix_seconds / seconds_per_day;
  auto const second = unix_seconds % seconds_per_day;
  auto const date = day_of(day);
  p = put(p, days[static_cast<std::size_t>(day % 7)].substr(0, 3));
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
  return put(p, " GMT");
}

std::string date_text(std::int64_t unix_seconds) {
  std::string text(date_bytes, '\0');
  write_date(text.data(), unix_seconds);
  return text;
}

std::optional<std::int64_t> read_date(ByteView text, std::int64_t now) {
  for (auto const day : days)
    if (text.starts_with(day)) return read_rfc850(text.substr(day.size()), now);
  for (auto const day : days) {
    if (!text.starts_with(day.substr(0, 3))) continue;
    auto const rest = text.substr(3);
    return rest.starts_with(',') ? read_usual(rest) : read_asctime(rest);
  }
  return std::nullopt;
}

}  // namespace millrace::http
