// Content codings by name (RFC 9110 8.4.1, 18.6).
#pragma once
#include <cstdint>
#include <optional>

#include "millrace/base/bytes.hpp"

namespace millrace::coding {

using base::ByteView;

enum class Coding : std::uint8_t { gzip, deflate, br, zstd };
inline constexpr std::size_t coding_count = 4;

std::optional<Coding> coding_named(ByteView text);  // any letter case, x-gzip included
ByteView name_of(Coding coding);

}  // namespace millrace::coding
