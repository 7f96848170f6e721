// What a Cookie field says (RFC 6265 5.4, as servers read it).
#pragma once
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"

namespace millrace::http {

// Cookies of one request. Browsers keep up to 180 for a site; a head of 32 kB could hold 8,000.
constexpr std::size_t cookies_most = 256;

struct Cookie {
  base::ByteView name, value;  // of the field
};

// Adds the field's cookies, in their order: pairs between semicolons, blanks around each name and
// value cut off, a pair of quotes around a value too. What has no name is passed over: nobody could
// have set it by one, and browsers send such a cookie where a script made one that looks like
// another (RFC 6265bis 8.8). Errc::too_many_fields past cookies_most.
base::Status read_cookies(base::ByteView field, std::vector<Cookie>& into);

}  // namespace millrace::http
