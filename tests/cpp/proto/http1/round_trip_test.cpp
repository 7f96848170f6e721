// A server and a client back to back: what one writes, the other reads as what was meant.
#include <gtest/gtest.h>

#include "proto/play.hpp"

#include "millrace/base/random.hpp"

namespace millrace::test {
namespace {

using proto::Afterwards;
using proto::Side;

// Carries bytes both ways, in pieces, until nothing moves.
class Wire {
 public:
  Wire(Owner& client, Owner& server, std::uint64_t seed)
      : client_(client), server_(server), random_(seed) {}
  void run() {
    while (carry(client_, server_) || carry(server_, client_)) continue;
  }

 private:
  bool carry(Owner& from, Owner& to) {
    auto const bytes = from.take_output();
    for (std::size_t at = 0; at < bytes.size();) {
      auto const n = 1 + random_.next() % 40;
      to.feed(ByteView(bytes).substr(at, n));
      at += n;
    }
    return !bytes.empty();
  }
  Owner& client_;
  Owner& server_;
  base::Random random_;
};

void grant(Owner& owner, const http::Event& event) {
  auto const* head = std::get_if<http::HeadReceived>(&event.what);
  if (head && !head->ends_stream) owner.say(event.stream, http::Credit{1 << 20});
}

// Sends back what comes in: streamed, or at the end in one piece.
struct Echo {
  bool is_streamed;
  std::string body;
  void operator()(Owner& owner, const http::Event& event) {
    grant(owner, event);
    auto const stream = event.stream;
    bool is_over = std::holds_alternative<http::End>(event.what);
    if (auto const* head = std::get_if<http::HeadReceived>(&event.what)) {
      body.clear();
      is_over = head->ends_stream;
      if (is_streamed) owner.say(stream, http::ResponseHead{});
    }
    if (auto const* piece = std::get_if<http::Data>(&event.what)) {
      if (is_streamed) owner.say(stream, data(std::string(piece->bytes.view())));
      body += piece->bytes.view();
    }
    if (!is_over) return;
    if (is_streamed) {
      owner.say(stream, http::End{{{"X-Size", std::to_string(body.size())}}});
    } else {
      owner.say(stream, response(200, body));
    }
  }
};

TEST(Http1RoundTrip, CarriesManyRequestsOverOneConnection) {
  for (bool const server_streams : {false, true})
    for (bool const client_streams : {false, true})
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Owner server(Side::server, Echo{server_streams, {}});
        Owner client(Side::client, grant);
        Wire wire(client, server, seed);
        base::Random random(seed);
        for (http::StreamId stream = 1; stream <= 20; ++stream) {
          auto const body = std::string(random.next() % 3000, static_cast<char>('a' + stream));
          http::RequestHead head;
          head.method = http::Method::post;
          head.target = "/" + std::to_string(stream);
          head.authority = "a";
          if (client_streams) {
            head.has_body = true;
            client.say(stream, std::move(head));
            for (std::size_t at = 0; at < body.size(); at += 1000)
              client.say(stream, data(body.substr(at, 1000)));
            client.say(stream, http::End{});
          } else {
            client.say(stream, http::RequestMessage{std::move(head), base::Bytes::from(body)});
          }
          wire.run();
          ASSERT_FALSE(server.has_failed()) << server.error->message();
          ASSERT_FALSE(client.has_failed()) << client.error->message();
          auto const events = client.take_events();
          auto const name = std::to_string(stream);
          if (!body.empty()) {
            ASSERT_NE(events.find(name + " data " + body + '\n'), std::string::npos) << events;
          }
          if (server_streams) {
            ASSERT_TRUE(
                events.ends_with(name + " end {X-Size=" + std::to_string(body.size()) + "}\n"))
                << events;
          }
          ASSERT_TRUE(server.take_events().starts_with(name + " POST /" + name));
        }
        EXPECT_EQ(server.codec->afterwards(), Afterwards::go_on);
        EXPECT_EQ(client.codec->afterwards(), Afterwards::go_on);
      }
}

TEST(Http1RoundTrip, WaitsForContinueBeforeTheBody) {
  Owner server(Side::server, Echo{false, {}});
  Owner client(Side::client, [](Owner& owner, const http::Event& event) {
    grant(owner, event);
    auto const* head = std::get_if<http::HeadReceived>(&event.what);
    if (!head || head->head.status() != 100) return;
    owner.say(1, data("abc"));
    owner.say(1, http::End{});
  });
  http::RequestHead head;
  head.method = http::Method::post;
  head.authority = "a";
  head.has_body = true;
  head.fields.add("Expect", "100-continue");
  client.say(1, std::move(head));
  Wire(client, server, 1).run();
  EXPECT_EQ(client.events, "1 100 Continue\n1 200 OK length=3 body\n1 data abc\n1 end\n");
}

TEST(Http1RoundTrip, SwitchesProtocolOnBothSides) {
  Owner server(Side::server, [](Owner& owner, const http::Event& event) {
    owner.say(event.stream, response(101, "", {{"Upgrade", "x"}}));
  });
  Owner client(Side::client, nullptr);
  http::RequestHead head;
  head.authority = "a";
  head.fields = {{"Connection", "Upgrade"}, {"Upgrade", "x"}};
  client.say(1, http::RequestMessage{std::move(head), {}});
  Wire(client, server, 1).run();
  EXPECT_EQ(server.codec->afterwards(), Afterwards::hand_over);
  EXPECT_EQ(client.codec->afterwards(), Afterwards::hand_over);
}

TEST(Http1RoundTrip, CarriesEveryRefusalAsAWholeResponse) {
  for (auto const* text :
       {"x\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n"}) {
    Owner server(Side::server, nullptr);
    server.feed(text);
    ASSERT_TRUE(server.has_failed());
    Owner client(Side::client, grant);
    http::RequestHead head;
    head.authority = "a";
    client.say(1, http::RequestMessage{std::move(head), {}});
    client.feed(server.output);
    EXPECT_TRUE(client.events.ends_with("1 end\n")) << client.events;
    EXPECT_EQ(client.codec->afterwards(), Afterwards::close);
  }
}

}  // namespace
}  // namespace millrace::test
