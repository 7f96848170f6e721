#include "millrace/net/address_range.hpp"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

bool holds(std::string_view range, std::string_view address) {
  auto const parsed = AddressRange::parse(range);
  EXPECT_TRUE(parsed) << range;
  auto const endpoint = Endpoint::of_address(address, 80);
  EXPECT_TRUE(endpoint) << address;
  return parsed && endpoint && parsed.value().contains(*endpoint);
}

TEST(AddressRange, EndsWhereItsLengthSays) {
  EXPECT_TRUE(holds("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(holds("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(holds("192.0.2.128/25", "192.0.2.128"));
  EXPECT_FALSE(holds("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(holds("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(holds("2001:db8::/33", "2001:db8:8000::1"));
}

TEST(AddressRange, MayBeOneAddressOrAll) {
  EXPECT_TRUE(holds("127.0.0.1", "127.0.0.1"));
  EXPECT_FALSE(holds("127.0.0.1", "127.0.0.2"));
  EXPECT_TRUE(holds("::1", "::1"));
  EXPECT_TRUE(holds("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(holds("::/0", "2001:db8::1"));
}

TEST(AddressRange, KnowsIpv4OnIpv6Sockets) {
  EXPECT_TRUE(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
  EXPECT_TRUE(holds("::ffff:10.0.0.0/104", "10.1.2.3"));
  EXPECT_FALSE(holds("10.0.0.0/8", "::ffff:11.1.2.3"));
}

TEST(AddressRange, HoldsNoUnixSocket) {
  auto const endpoint = Endpoint::parse("unix:/run/x.sock");
  ASSERT_TRUE(endpoint);
  EXPECT_FALSE(AddressRange::parse("::/0").value().contains(endpoint.value()));
}

TEST(AddressRange, RefusesWhatIsNone) {
  for (auto const* text : {"", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.1/8",
                           "::/129", "2001:db8::1/32", "localhost", "[::1]", "10.0.0.0/8 "}) {
    auto const parsed = AddressRange::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, base::Errc::invalid_option);
  }
}

TEST(EndpointOfAddress, TakesNumbersOnly) {
  EXPECT_EQ(Endpoint::of_address("203.0.113.9", 81)->to_string(), "203.0.113.9:81");
  EXPECT_EQ(Endpoint::of_address("2001:db8::1", 0)->to_string(), "[2001:db8::1]:0");
  for (auto const* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "[::1]", "::1%lo", "01.2.3.4x"})
    EXPECT_FALSE(Endpoint::of_address(text, 0)) << text;
  EXPECT_FALSE(Endpoint::of_address(std::string_view("1.2.3.4\0x", 9), 0));
}

}  // namespace
}  // namespace millrace::net
