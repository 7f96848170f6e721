// UDP under the patterns that have no connections to place.
#include "millrace/server/datagram_server.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

namespace millrace::server {
namespace {

TEST(DatagramServer, TakesOrRefusesEveryPattern) {
  std::set<std::string> taken;
  for (auto const& recipe : exec::recipes()) {
    DatagramServerOptions options;
    options.recipe = recipe;
    auto const status = DatagramServer::check(options);
    if (status) {
      taken.insert(recipe.name);
      continue;
    }
    EXPECT_NE(status.error().detail.find("no connections"), std::string::npos) << recipe.name;
  }
  EXPECT_TRUE(taken.contains("single_thread"));
  EXPECT_TRUE(taken.contains("reuseport_shards"));
}

TEST(DatagramServer, EchoesUnderEveryPatternItTakes) {
  for (auto const& recipe : exec::recipes()) {
    DatagramServerOptions options;
    options.recipe = recipe;
    if (!DatagramServer::check(options)) continue;
    DatagramEcho echo;
    DatagramServer server(options, echo, nullptr, nullptr);
    ASSERT_TRUE(server.listen()) << recipe.name;
    server.run_loops();
    ASSERT_TRUE(server.accept()) << recipe.name;
    auto const& at = server.endpoints().front();
    for (int i = 0; i < 8; ++i) {  // each from a port of its own, for the shards
      int const client = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      ASSERT_EQ(::connect(client, at.address(), at.size), 0);
      auto const text = "hello " + std::to_string(i);
      ASSERT_EQ(::send(client, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
      char answer[100];
      auto const size = ::recv(client, answer, sizeof answer, 0);
      EXPECT_EQ(std::string(answer, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), text)
          << recipe.name;
      ::close(client);
    }
    server.stop_accepting();
    server.stop_loops();
  }
}

}  // namespace
}  // namespace millrace::server
