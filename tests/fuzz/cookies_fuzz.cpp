// A Cookie field of arbitrary bytes. A broken promise aborts.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "millrace/proto/http/cookies.hpp"

namespace {

using namespace millrace;
using base::ByteView;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

bool has_blank_end(ByteView text) {
  constexpr ByteView blanks = " \t";
  return !text.empty() && (blanks.find(text.front()) != ByteView::npos ||
                           blanks.find(text.back()) != ByteView::npos);
}

bool lies_in(ByteView part, ByteView whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

std::string written(const std::vector<http::Cookie>& cookies) {
  std::string field;
  for (auto const& [name, value] : cookies)
    field.append(name).append("=\"").append(value).append("\"; ");
  return field;
}

void look_at(ByteView field) {
  std::vector<http::Cookie> cookies;
  bool const fits = static_cast<bool>(http::read_cookies(field, cookies));
  require(cookies.size() <= http::cookies_most, "cookies are limited in number");
  require(fits || cookies.size() == http::cookies_most, "and refused past the limit only");
  for (auto const& [name, value] : cookies) {
    require(!name.empty() && !has_blank_end(name), "each has a name");
    require(name.find_first_of("=;") == ByteView::npos, "which ends where it should");
    require(value.find(';') == ByteView::npos, "as its value does");
    require(lies_in(name, field) && lies_in(value, field), "both are of the field");
  }
  std::vector<http::Cookie> again;
  auto const text = written(cookies);
  require(static_cast<bool>(http::read_cookies(text, again)), "what was read can be read again");
  require(written(again) == text, "and says the same");
}

// A field in two lines says what it says in one, if it is cut between cookies.
void look_at_lines(ByteView field) {
  auto const cut = field.find(';', field.size() / 2);
  if (cut == ByteView::npos) return;
  std::vector<http::Cookie> one, two;
  if (!http::read_cookies(field, one)) return;
  require(http::read_cookies(field.substr(0, cut), two) &&
              http::read_cookies(field.substr(cut + 1), two) && written(one) == written(two),
          "lines make no difference");
}

}  // namespace

// As in http1_fuzz.cpp: the run's memory limit is to see growth of ours.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  ByteView const field(reinterpret_cast<const char*>(input), size);
  look_at(field);
  look_at_lines(field);
  return 0;
}
