// One connection of a server, for people who look at it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "millrace/base/time.hpp"
#include "millrace/net/tcp_report.hpp"

namespace millrace::conn {

struct ConnectionReport {
  enum class State : std::uint8_t {
    idle,       // no request is under way
    answering,  // one has come whose answer is not complete; of plain TCP, messages wait for a
                // handler
    sending,    // all answers are complete, and wait for the peer
  };
  std::uint64_t id = 0;  // net::socket_cookie
  std::string peer;
  std::size_t loop = 0;
  base::Duration age = 0;
  std::uint64_t requests = 0;  // that have come; of plain TCP, messages
  State state = State::idle;
  std::size_t unsent_bytes = 0;       // not with the kernel yet
  std::optional<net::TcpReport> tcp;  // empty for Unix
};

}  // namespace millrace::conn
