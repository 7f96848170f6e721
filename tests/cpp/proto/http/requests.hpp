// Heads of requests as they come out of the codec.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "proto/play.hpp"

namespace millrace::test {

// `lines`: fields, each ended by CR LF.
inline http::Head head_of(std::string_view method, std::string_view lines) {
  auto const codec = http1::make_codec(proto::Side::server, default_limits, nullptr, 0);
  auto const text =
      std::string(method) + " / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
  EXPECT_TRUE(codec->receive(text, 0)) << text;
  auto event = codec->next_event();
  EXPECT_TRUE(event) << text;
  return event ? std::move(std::get<http::HeadReceived>(event->what).head) : http::Head();
}

}  // namespace millrace::test
