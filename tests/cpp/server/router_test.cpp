#include "millrace/server/router.hpp"

#include <gtest/gtest.h>

#include "millrace/proto/http/target.hpp"

namespace millrace::server {
namespace {

class Named final : public Handler {
 public:
  explicit Named(std::string name) : name(std::move(name)) {}
  Where where() const override { return Where::on_loop; }
  Body body() const override { return Body::streamed; }
  void handle(conn::Exchange&) override {}
  std::string name;
};

class ARouter : public ::testing::Test {
 protected:
  Named& route(std::vector<std::string> methods, std::string_view pattern) {
    handlers_.push_back(std::make_unique<Named>(std::string(pattern)));
    auto status = router.add(std::move(methods), pattern, *handlers_.back());
    EXPECT_TRUE(status) << pattern;
    return *handlers_.back();
  }
  Router::Match find(const std::string& method, const std::string& path) {
    http::HeadBlockPtr block(http::HeadPool::take());
    block->bytes = method + path;
    auto const size = static_cast<std::uint32_t>(method.size());
    block->method_text = {0, size};
    block->method = http::method_named(method);
    block->target = {size, static_cast<std::uint32_t>(path.size())};
    EXPECT_TRUE(http::read_target(*block)) << path;
    exchange.head = http::Head(std::move(block));
    return router.find(exchange);
  }
  std::string found(const std::string& method, const std::string& path) {
    auto match = find(method, path);
    if (!match.handler) return match.path_exists ? "405 " + match.allow : "404";
    std::string text = static_cast<Named*>(match.handler)->name;
    for (std::size_t i = 0; i < exchange.parameter_count; ++i)
      text += " " + std::string(exchange.parameters[i].name) + "=" +
              std::string(exchange.parameters[i].value);
    return text;
  }
  std::string refused(std::string_view pattern) {
    Named handler("x");
    auto status = router.add({"GET"}, pattern, handler);
    return status ? "" : status.error().detail;
  }

  Router router;
  conn::Exchange exchange;

 private:
  std::vector<std::unique_ptr<Named>> handlers_;
};

TEST_F(ARouter, FindsLiteralPathsAndNothingElse) {
  route({"GET"}, "/");
  route({"GET"}, "/a/b");
  EXPECT_EQ(found("GET", "/"), "/");
  EXPECT_EQ(found("GET", "/a/b"), "/a/b");
  EXPECT_EQ(found("GET", "/a"), "404");
  EXPECT_EQ(found("GET", "/a/b/"), "404");
  EXPECT_EQ(found("GET", "/A/b"), "404") << "paths are case-sensitive (RFC 9110 4.2.3)";
}

TEST_F(ARouter, PrefersLiteralSegmentsWhateverTheOrderOfTheRoutes) {
  route({"GET"}, "/users/{id}");
  route({"GET"}, "/users/{id}/posts");
  route({"GET"}, "/users/me");
  route({"GET"}, "/{what}/me2");
  route({"GET"}, "/users/me2");
  EXPECT_EQ(found("GET", "/users/me"), "/users/me");
  EXPECT_EQ(found("GET", "/users/7"), "/users/{id} id=7");
  EXPECT_EQ(found("GET", "/users/7/posts"), "/users/{id}/posts id=7");
  EXPECT_EQ(found("GET", "/users/me2"), "/users/me2");
}

// RFC 9112 3.2.4: OPTIONS * asks about the server, which is no path of a route.
TEST_F(ARouter, TakesTheStarForNoPath) {
  route({"OPTIONS"}, "/{all:path}");
  EXPECT_EQ(found("OPTIONS", "*"), "404");
  EXPECT_EQ(found("OPTIONS", "/*"), "/{all:path} all=*");
}

TEST_F(ARouter, ChecksTheTypesOfParameters) {
  route({"GET"}, "/i/{n:int}");
  route({"GET"}, "/f/{x:float}");
  route({"GET"}, "/u/{u:uuid}");
  route({"GET"}, "/p/{rest:path}");
  EXPECT_EQ(found("GET", "/i/42"), "/i/{n:int} n=42");
  EXPECT_EQ(found("GET", "/i/-42"), "/i/{n:int} n=-42");
  for (auto const* bad : {"/i/", "/i/-", "/i/4x", "/i/+4", "/i/4/2"})
    EXPECT_EQ(found("GET", bad), "404") << bad;
  EXPECT_EQ(found("GET", "/f/2.5"), "/f/{x:float} x=2.5");
  EXPECT_EQ(found("GET", "/f/-2"), "/f/{x:float} x=-2");
  for (auto const* bad : {"/f/", "/f/.", "/f/2e5", "/f/nan", "/f/inf", "/f/2."})
    EXPECT_EQ(found("GET", bad), "404") << bad;
  EXPECT_EQ(found("GET", "/u/01234567-89ab-cdef-0123-456789ABCDEF"),
            "/u/{u:uuid} u=01234567-89ab-cdef-0123-456789ABCDEF");
  EXPECT_EQ(found("GET", "/u/0123456789abcdef0123456789abcdef"), "404");
  EXPECT_EQ(found("GET", "/p/a/b/c"), "/p/{rest:path} rest=a/b/c");
  EXPECT_EQ(found("GET", "/p/"), "/p/{rest:path} rest=");
}

TEST_F(ARouter, TriesATypedRouteBeforeTheNextOne) {
  route({"GET"}, "/x/{n:int}");
  route({"GET"}, "/x/{s}");
  EXPECT_EQ(found("GET", "/x/1"), "/x/{n:int} n=1");
  EXPECT_EQ(found("GET", "/x/one"), "/x/{s} s=one");
}

TEST_F(ARouter, NamesTheMethodsThatWouldDo) {
  route({"GET"}, "/a");
  route({"POST"}, "/a");
  route({"DELETE"}, "/b/{id}");
  EXPECT_EQ(found("PUT", "/a"), "405 GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(found("OPTIONS", "/a"), "405 GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(found("GET", "/b/1"), "405 DELETE, OPTIONS");
}

TEST_F(ARouter, AnswersHeadByGetUnlessItHasItsOwn) {
  route({"GET"}, "/a");
  route({"GET"}, "/b");
  auto& own = route({"HEAD"}, "/b");
  EXPECT_EQ(found("HEAD", "/a"), "/a");
  EXPECT_EQ(find("HEAD", "/b").handler, &own);
}

TEST_F(ARouter, LetsARouteTakeEveryMethod) {
  route({}, "/any");
  EXPECT_EQ(found("GET", "/any"), "/any");
  EXPECT_EQ(found("BREW", "/any"), "/any");
}

TEST_F(ARouter, RefusesPatternsThatCannotBeMeant) {
  EXPECT_NE(refused("users").find("must begin with '/'"), std::string::npos);
  EXPECT_NE(refused("/a{b}").find("fills its whole segment"), std::string::npos);
  EXPECT_NE(refused("/{}").find("needs a name"), std::string::npos);
  EXPECT_NE(refused("/{a:word}").find("unknown parameter type 'word'"), std::string::npos);
  EXPECT_NE(refused("/{a}/{a}").find("stands twice"), std::string::npos);
  EXPECT_NE(refused("/{a:path}/b").find("must be the last"), std::string::npos);
}

TEST_F(ARouter, TakesSixteenParametersAndNotOneMore) {
  std::string pattern, path;
  for (std::size_t i = 0; i < conn::Exchange::max_parameters; ++i) {
    pattern += "/{p" + std::to_string(i) + "}";
    path += "/" + std::to_string(i);
  }
  route({"GET"}, pattern);
  EXPECT_NE(find("GET", path).handler, nullptr);
  EXPECT_EQ(exchange.parameter_count, conn::Exchange::max_parameters);
  EXPECT_NE(refused(pattern + "/{one_more}").find("more than 16"), std::string::npos);
}

}  // namespace
}  // namespace millrace::server
