// A hash that nobody can make collide who does not know its key.
#pragma once
#include <cstdint>
#include <string_view>

namespace millrace::base {

struct SipKey {
  std::uint64_t first = 0, second = 0;
};

// SipHash-2-4 (Aumasson, Bernstein 2012): the same on every machine.
std::uint64_t siphash(std::string_view bytes, SipKey key);

}  // namespace millrace::base
