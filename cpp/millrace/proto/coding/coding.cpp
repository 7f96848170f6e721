#include "millrace/proto/coding/coding.hpp"

#include <array>

#include "millrace/proto/http/fields.hpp"

namespace millrace::coding {
namespace {

constexpr std::array<ByteView, coding_count> names{"gzip", "deflate", "br", "zstd"};

}  // namespace

std::optional<Coding> coding_named(ByteView text) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (http::equals_ignoring_case(text, names[i])) return static_cast<Coding>(i);
  // RFC 9110 8.4.1.3
  if (http::equals_ignoring_case(text, "x-gzip")) return Coding::gzip;
  return std::nullopt;
}

ByteView name_of(Coding coding) { return names[static_cast<std::size_t>(coding)]; }

}  // namespace millrace::coding
