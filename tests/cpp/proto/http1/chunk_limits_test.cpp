// The limits of a chunked body: at each, and one byte past it.
#include <gtest/gtest.h>

#include "../play.hpp"

namespace millrace::http1 {
namespace {

using namespace test;

// The answer's status line to a chunked body.
std::string answer_to(const std::string& body, const http::Limits& limits) {
  Owner owner(proto::Side::server, answer_all, limits);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body);
  return owner.output.substr(0, owner.output.find('\r'));
}

TEST(ALimit, OfAChunkLineIsNotPassed) {
  http::Limits limits;
  limits.chunk_line_bytes = 30;
  auto const body = [](std::size_t line) {
    return "3;" + std::string(line - 2, 'a') + "\r\nabc\r\n0\r\n\r\n";
  };
  EXPECT_EQ(answer_to(body(30), limits), "HTTP/1.1 200 OK");
  EXPECT_EQ(answer_to(body(31), limits), "HTTP/1.1 400 Bad Request");
}

TEST(ALimit, OfATrailerSectionIsNotPassed) {
  http::Limits limits;
  limits.trailer_bytes = 60;
  auto const body = [](std::size_t section) {
    return "0\r\na: " + std::string(section - 5, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(answer_to(body(60), limits), "HTTP/1.1 200 OK");
  EXPECT_EQ(answer_to(body(61), limits), "HTTP/1.1 431 Request Header Fields Too Large");
}

}  // namespace
}  // namespace millrace::http1
