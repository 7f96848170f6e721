#include "millrace/base/uuid.hpp"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

TEST(Uuid, IsTheStandardsExample) {  // RFC 9562 A.6
  EXPECT_EQ(uuid_v7(0x017F22E279B0, 0xCC3, 0x18C4DC0C0C07398F),
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

TEST(Uuid, SortsByTimeAndKeepsItsVersionWhateverTheRandomBits) {
  auto const early = uuid_v7(0xffff, ~0ULL, ~0ULL), late = uuid_v7(0x10000, 0, 0);
  EXPECT_EQ(early, "00000000-ffff-7fff-bfff-ffffffffffff");
  EXPECT_EQ(late, "00000001-0000-7000-8000-000000000000");
  EXPECT_LT(early, late);
}

}  // namespace
}  // namespace millrace::base
