// Names that nobody else gives, which sort by when they were made.
#pragma once
#include <cstdint>
#include <string>

namespace millrace::base {

// RFC 9562 5.7, version 7: 48 bits of Unix time in milliseconds, then 74 of the random ones.
std::string uuid_v7(std::uint64_t unix_ms, std::uint64_t random_a, std::uint64_t random_b);

}  // namespace millrace::base
