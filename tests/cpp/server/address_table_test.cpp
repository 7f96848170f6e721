#include "millrace/server/address_table.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace::server {
namespace {

net::Endpoint at(std::string_view text) { return *net::Endpoint::parse(text); }

TEST(AnAddressTable, HoldsSoManyOfOneAddressAndNoMore) {
  AddressTable table(2);
  auto const peer = at("192.0.2.1:1000");
  EXPECT_TRUE(table.add(peer));
  EXPECT_TRUE(table.add(at("192.0.2.1:1001")));
  EXPECT_FALSE(table.add(peer));
  EXPECT_TRUE(table.add(at("192.0.2.2:1000"))) << "another's are his own";
  table.remove(peer);
  EXPECT_TRUE(table.add(peer)) << "there is room again";
  EXPECT_FALSE(table.add(peer));
}

TEST(AnAddressTable, TakesAnIpv6NetworkOf64BitsForOneClient) {
  AddressTable table(1);
  EXPECT_TRUE(table.add(at("[2001:db8:0:1::1]:1")));
  EXPECT_FALSE(table.add(at("[2001:db8:0:1:ffff::2]:1")));
  EXPECT_TRUE(table.add(at("[2001:db8:0:2::1]:1")));
}

TEST(AnAddressTable, KnowsAnIpv4AddressThatIsMappedIntoIpv6) {
  AddressTable table(1);
  EXPECT_TRUE(table.add(at("[::ffff:192.0.2.1]:1")));
  EXPECT_FALSE(table.add(at("192.0.2.1:2")));
  EXPECT_TRUE(table.add(at("[::ffff:192.0.2.2]:1"))) << "not one client for all of IPv4";
}

TEST(AnAddressTable, KeepsNoAddressThatHasNoConnection) {
  AddressTable table(1);
  for (int i = 0; i < 100; ++i) {
    auto const peer = at("10.0.0." + std::to_string(i) + ":1");
    EXPECT_TRUE(table.add(peer));
    table.remove(peer);
  }
  EXPECT_EQ(table.size(), 0u);
}

TEST(AnAddressTable, LetsUnixClientsAndAllOthersInWhereItHasNoLimit) {
  AddressTable one(1), none(0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(one.add(at("unix:/x")));
    EXPECT_TRUE(none.add(at("192.0.2.1:1")));
  }
  one.remove(at("unix:/x"));
  none.remove(at("192.0.2.1:1"));
  EXPECT_EQ(one.size() + none.size(), 0u);
}

TEST(AnAddressTable, CountsRightWhenSeveralLoopsCome) {
  AddressTable table(1000);
  auto const peer = at("192.0.2.1:1");
  std::vector<std::thread> loops;
  for (int i = 0; i < 4; ++i)
    loops.emplace_back([&] {
      for (int n = 0; n < 5000; ++n) {
        EXPECT_TRUE(table.add(peer));
        table.remove(peer);
      }
      for (int n = 0; n < 250; ++n) EXPECT_TRUE(table.add(peer));
    });
  for (auto& loop : loops) loop.join();
  EXPECT_FALSE(table.add(peer));
}

}  // namespace
}  // namespace millrace::server
