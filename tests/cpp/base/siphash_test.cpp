#include "millrace/base/siphash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::base {
namespace {

// The vectors of the reference: key 00..0f, input 00, 01, ... of each length.
TEST(SipHash, IsTheReferences) {
  constexpr SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string bytes;
  EXPECT_EQ(siphash(bytes, key), 0x726fdb47dd0e0e31u);
  for (char c = 0; c < 15; ++c) bytes += c;
  EXPECT_EQ(siphash(std::string_view(bytes).substr(0, 1), key), 0x74f839c593dc67fdu);
  EXPECT_EQ(siphash(std::string_view(bytes).substr(0, 8), key), 0x93f5f5799a932462u);
  EXPECT_EQ(siphash(bytes, key), 0xa129ca6149be45e5u);
}

}  // namespace
}  // namespace millrace::base
