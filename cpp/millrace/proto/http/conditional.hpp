// Conditional requests: whether what a client has, or takes for current, still holds (RFC 9110 13).
#pragma once
#include <cstdint>

#include "millrace/proto/http/entity_tag.hpp"
#include "millrace/proto/http/head.hpp"

namespace millrace::http {

// What tells one state of a representation from another.
struct Validators {
  std::optional<EntityTag> entity_tag;  // none: only "*" names it
  std::int64_t last_modified = 0;       // seconds since 1970
};

enum class Precondition : std::uint8_t {
  holds,         // go on as without it
  not_modified,  // 304
  fails,         // 412
};

// How many fields of a request have a name.
std::size_t count_of(const Head& request, ByteView lower_case_name);

// In the order of RFC 9110 13.2.2; for a representation that exists. `now`: seconds since 1970.
Precondition evaluate(const Head& request, const Validators& ours, std::int64_t now);

// Whether a Range field counts: there is no If-Range, or it names exactly what we have (RFC 9110
// 13.1.5). A date counts only if it lies a second or more back, since within it the representation
// may have changed again (8.8.2.2).
bool range_counts(const Head& request, const Validators& ours, std::int64_t now);

}  // namespace millrace::http
