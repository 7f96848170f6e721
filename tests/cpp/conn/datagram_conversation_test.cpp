// UDP clients on their loop: what waits, what is dropped, and who is told.
#include "millrace/conn/datagram_conversation.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "net/full_kernel.hpp"

#include "millrace/conn/client_loop.hpp"

namespace millrace::conn {
namespace {

using base::ByteView;
using base::Errc;

base::Time soon() { return net::Reactor::clock() + base::seconds(20); }

// A plain socket of the system at the other end.
class Peer {
 public:
  Peer() : descriptor_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    auto any = *net::Endpoint::parse("127.0.0.1:0");
    EXPECT_EQ(::bind(descriptor_, any.address(), any.size), 0);
    at.size = sizeof at.storage;
    EXPECT_EQ(::getsockname(descriptor_, at.address(), &at.size), 0);
  }
  ~Peer() { hang_up(); }
  std::string receive() {
    std::string text(100, '\0');
    from_.size = sizeof from_.storage;
    auto const got =
        ::recvfrom(descriptor_, text.data(), text.size(), 0, from_.address(), &from_.size);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  void send(ByteView text) {
    EXPECT_EQ(::sendto(descriptor_, text.data(), text.size(), 0, from_.address(), from_.size),
              static_cast<ssize_t>(text.size()));
  }
  void hang_up() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  net::Endpoint at;

 private:
  int descriptor_;
  net::Endpoint from_;
};

std::size_t send(DatagramConversation& client, ByteView text) {
  auto const sent = client.send({&text, 1});
  EXPECT_TRUE(sent);
  return sent.value();
}

std::vector<std::string> take(DatagramConversation& client, std::size_t most = 100) {
  for (;;) {
    auto const taken = client.take(most);
    EXPECT_TRUE(taken);
    std::vector<std::string> texts;
    std::size_t at = 0;
    for (auto const size : taken.value().sizes) {
      texts.push_back(taken.value().bytes.substr(at, size));
      at += size;
    }
    if (!texts.empty() || !taken || !client.wait_for_news(soon())) return texts;
  }
}

struct Bench {
  explicit Bench(DatagramConversationOptions options = {}) {
    auto connected = loop->connect_datagrams({peer.at}, options);
    EXPECT_TRUE(connected);
    client = *connected;
    // So that the peer knows whom to answer.
    EXPECT_EQ(send(*client, "hello"), 1u);
    EXPECT_EQ(peer.receive(), "hello");
  }
  void wait_until_read(std::uint64_t datagrams) {
    auto const until = soon();
    while (client->received().messages_in.get() < datagrams && net::Reactor::clock() < until)
      ::usleep(1000);
    EXPECT_EQ(client->received().messages_in.get(), datagrams);
  }
  Peer peer;
  std::unique_ptr<ClientLoop> loop = std::make_unique<ClientLoop>();
  SharedDatagrams client;
};

TEST(DatagramConversation, GivesDatagramsInOrderAndAsManyAsAreAskedFor) {
  Bench bench;
  for (auto const* text : {"one", "", "three", "four"}) bench.peer.send(text);
  bench.wait_until_read(4);
  EXPECT_EQ(take(*bench.client, 2), (std::vector<std::string>{"one", ""}));
  EXPECT_EQ(take(*bench.client), (std::vector<std::string>{"three", "four"}));
}

TEST(DatagramConversation, KeepsDatagramsUpToItsLimitAndDropsOneMore) {
  Bench bench({.unread_datagrams = 2, .socket = {}});
  bench.peer.send("one");
  bench.peer.send("two");
  bench.wait_until_read(2);
  EXPECT_EQ(bench.client->received().datagrams_dropped.get(), 0u);
  bench.peer.send("three");
  bench.wait_until_read(3);
  EXPECT_EQ(bench.client->received().datagrams_dropped.get(), 1u);
  EXPECT_EQ(take(*bench.client), (std::vector<std::string>{"one", "two"}));
  bench.peer.send("four");
  EXPECT_EQ(take(*bench.client), (std::vector<std::string>{"four"}));
}

TEST(DatagramConversation, TellsWhenAFullKernelHasRoom) {
  Bench bench;
  testing::kernel_is_full = true;
  EXPECT_EQ(send(*bench.client, "waits"), 0u);
  testing::kernel_is_full = false;
  EXPECT_TRUE(bench.client->wait_for_news(soon()));
  EXPECT_EQ(send(*bench.client, "waits"), 1u);
  EXPECT_EQ(bench.peer.receive(), "waits");
  EXPECT_EQ(bench.client->sent().writes_blocked.get(), 1u);
}

TEST(DatagramConversation, SendsEqualSizesWithOneCall) {
  Bench bench;
  auto const before = bench.client->sent().writes.get();
  std::array<ByteView, 5> const views{"aaa", "bbb", "ccc", "ddd", "e"};
  EXPECT_EQ(bench.client->send(views).value(), 5u);
  for (auto const& view : views) EXPECT_EQ(bench.peer.receive(), view);
  EXPECT_EQ(bench.client->sent().writes.get(), before + 1);
}

TEST(DatagramConversation, TellsOnceThatNobodyIsThere) {
  Bench bench;
  bench.peer.hang_up();
  EXPECT_EQ(send(*bench.client, "anybody?"), 1u);
  auto taken = bench.client->take(1);
  while (taken && bench.client->wait_for_news(soon())) taken = bench.client->take(1);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Errc::connection_refused);
  EXPECT_TRUE(bench.client->take(1));
}

TEST(DatagramConversation, RefusesWhatNoDatagramCanBe) {
  Bench bench;
  std::string const longest(65'507, 'x'), longer(65'508, 'x');
  ByteView const view = longer;
  auto const sent = bench.client->send({&view, 1});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::invalid_message);
  EXPECT_EQ(send(*bench.client, longest), 1u);
}

TEST(DatagramConversation, IsClosedByEitherSideOfItsLoop) {
  Bench one, other;
  one.client->close();
  one.client->close();
  other.loop.reset();
  for (auto* const client : {one.client.get(), other.client.get()}) {
    EXPECT_TRUE(client->is_closed());
    EXPECT_TRUE(client->wait_for_news(soon()));
    auto const taken = client->take(1);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Errc::connection_closed);
  }
  other.client->close();
  one.loop.reset();  // which has carried the close out
  ByteView const view = "late";
  EXPECT_EQ(one.client->send({&view, 1}).error().code, Errc::connection_closed);
  EXPECT_EQ(other.client->send({&view, 1}).error().code, Errc::connection_closed);
}

TEST(DatagramConversation, TakesTheNextAddressWhereThereIsNoWay) {
  Peer peer;
  ClientLoop loop;
  auto const nowhere = *net::Endpoint::parse("unix:/nowhere");
  auto const connected = loop.connect_datagrams({nowhere, peer.at}, {});
  ASSERT_TRUE(connected);
  EXPECT_EQ(connected.value()->peer().to_string(), peer.at.to_string());
  connected.value()->close();
  EXPECT_EQ(loop.connect_datagrams({nowhere}, {}).error().code, Errc::invalid_option);
  EXPECT_EQ(loop.connect_datagrams({}, {}).error().code, Errc::name_not_found);
}

}  // namespace
}  // namespace millrace::conn
