#include "millrace/lab/load_target.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "millrace/lab/load_options.hpp"
#include "millrace/lab/load_worker.hpp"

namespace millrace::lab {
namespace {

using base::Errc;

TEST(ParseUrl, TakesTheUsualFormsApart) {
  struct Row {
    std::string_view text, host;
    std::uint16_t port;
    std::string_view authority, target;
  };
  for (auto const& row : {
           Row{"http://a", "a", 80, "a", "/"},
           Row{"http://a/", "a", 80, "a", "/"},
           Row{"http://127.0.0.1:8000/x/y?z=1", "127.0.0.1", 8000, "127.0.0.1:8000", "/x/y?z=1"},
           Row{"http://[::1]:81/x", "::1", 81, "[::1]:81", "/x"},
           Row{"http://[::1]", "::1", 80, "[::1]", "/"},
           Row{"http://a?q", "a", 80, "a", "/?q"},
           Row{"http://a/x#part", "a", 80, "a", "/x"},
       }) {
    SCOPED_TRACE(row.text);
    auto const url = parse_url(row.text);
    ASSERT_TRUE(url);
    EXPECT_EQ(url.value().host, row.host);
    EXPECT_EQ(url.value().port, row.port);
    EXPECT_EQ(url.value().authority, row.authority);
    EXPECT_EQ(url.value().target, row.target);
  }
}

TEST(ParseUrl, RefusesTheRestWithASentence) {
  for (std::string_view text :
       {"", "a", "https://a", "ftp://a", "http://", "http:///x", "http://a:", "http://a:0",
        "http://a:65536", "http://a:8x", "http://u:p@a/", "http://[::1/", "http://a/ b",
        "http://a/\r\nX: y"}) {
    SCOPED_TRACE(text);
    auto const url = parse_url(text);
    ASSERT_FALSE(url);
    EXPECT_EQ(url.error().code, Errc::invalid_option);
    EXPECT_FALSE(url.error().detail.empty());
  }
}

TEST(LoadTarget, MakesTheRequestThatWasAskedFor) {
  LoadRequest request;
  request.method = "POST";
  request.headers = {{"X-A", "1"}, {"Host", "shop.example"}};
  request.body = "hello";
  auto target = LoadTarget::make("http://127.0.0.1:8000/x", request);
  ASSERT_TRUE(target);
  auto const message = target->message();
  EXPECT_EQ(message.head.method, http::Method::post);
  EXPECT_EQ(message.head.target, "/x");
  EXPECT_EQ(message.head.authority, "shop.example");
  ASSERT_NE(message.head.preset, nullptr);
  EXPECT_EQ(message.head.preset->http1_text(), "X-A: 1\r\n");
  EXPECT_EQ(message.body.view(), "hello");
  EXPECT_EQ(target->endpoints().front().to_string(), "127.0.0.1:8000");
}

TEST(LoadTarget, KeepsMethodsWithoutANameOfTheirOwn) {
  LoadRequest request;
  request.method = "PROPFIND";
  auto target = LoadTarget::make("http://127.0.0.1:8000/", request);
  ASSERT_TRUE(target);
  EXPECT_EQ(target->message().head.method, http::Method::other);
  EXPECT_EQ(target->message().head.method_text, "PROPFIND");
}

TEST(LoadTarget, RefusesWhatWouldBreakItsOwnFraming) {
  for (auto const& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"Content-Length", "3"},
                                                                  {"transfer-encoding", "chunked"},
                                                                  {"Expect", "100-continue"},
                                                                  {"Upgrade", "x"},
                                                                  {"X-A", "1\r\nX-B: 2"},
                                                                  {"X A", "1"},
                                                                  {"Host", "a b"}}) {
    SCOPED_TRACE(name);
    LoadRequest request;
    request.headers = {{name, value}};
    EXPECT_FALSE(LoadTarget::make("http://127.0.0.1:8000/", request));
  }
  for (auto const* method : {"", "G ET", "CONNECT"}) {
    SCOPED_TRACE(method);
    LoadRequest request;
    request.method = method;
    EXPECT_FALSE(LoadTarget::make("http://127.0.0.1:8000/", request));
  }
}

// --- options

TEST(LoadOptions, AreGoodAsTheyAre) { EXPECT_TRUE(check(LoadOptions{})); }

TEST(LoadOptions, AreRefusedWhereTheyContradictThemselves) {
  auto const refused = [](auto change) {
    LoadOptions options;
    change(options);
    auto const checked = check(options);
    return !checked && checked.error().code == Errc::invalid_option;
  };
  EXPECT_TRUE(refused([](auto& o) { o.connections = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.connections = LoadOptions::max_connections + 1; }));
  EXPECT_FALSE(refused([](auto& o) { o.connections = LoadOptions::max_connections; }));
  EXPECT_TRUE(refused([](auto& o) { o.threads = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.threads = o.connections + 1; }));
  EXPECT_TRUE(refused([](auto& o) { o.timeout = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.rate = -1; }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.rate = std::numeric_limits<double>::quiet_NaN(); }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.rate = Arrivals::max_rate * 2; }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.spacing = Spacing::poisson; }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.duration = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.duration = -1; }));
  EXPECT_TRUE(refused([](auto& o) { o.pace.warmup = -1; }));
  EXPECT_TRUE(refused([](auto& o) {
    o.request.method = "HEAD";
    o.request.expect_body = "x";
  }));
}

TEST(ShareOf, AddsUpToTheWhole) {
  LoadOptions options;
  options.connections = 10;
  options.threads = 3;
  options.pace.rate = 100;
  options.pace.requests = 7;
  std::size_t connections = 0;
  std::uint64_t requests = 0;
  double rate = 0;
  std::vector<std::uint64_t> seeds;
  for (std::size_t i = 0; i < options.threads; ++i) {
    auto const share = share_of(options, i);
    connections += share.connections;
    requests += share.requests;
    rate += share.rate;
    seeds.push_back(share.seed);
  }
  EXPECT_EQ(connections, 10U);
  EXPECT_EQ(requests, 7U);
  EXPECT_NEAR(rate, 100, 1e-9);
  EXPECT_NE(seeds[0], seeds[1]);
  EXPECT_NE(seeds[1], seeds[2]);
}

TEST(ShareOf, IsEndlessWhereNoNumberIsAsked) {
  EXPECT_EQ(share_of(LoadOptions{}, 0).requests, LoadShare::endless);
}

}  // namespace
}  // namespace millrace::lab
