// A server that answers by a script, well or badly: the other side of a load run.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/net/listener.hpp"

namespace millrace::testing {

// One thread per connection, blocking: nothing of the engine but the listening socket, so that a
// fault of the engine cannot hide on both sides.
class ScriptedServer {
 public:
  // What to send for the n-th request of all (from 1); `closes` ends the connection behind it.
  struct Answer {
    std::string bytes;
    bool closes = false;
  };
  using Script = std::function<Answer(std::uint64_t ordinal)>;

  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    auto listening = net::ListenSocket::open(*net::Endpoint::parse("127.0.0.1:0"), {});
    EXPECT_TRUE(listening);
    socket_ = std::move(*listening);
    // The library's sockets do not block; this thread has nothing else to do.
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~ScriptedServer() {
    stopped_ = true;
    ::shutdown(socket_.descriptor(), SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard const guard(lock_);
      for (int const descriptor : open_) ::shutdown(descriptor, SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
  }
  std::string url() const { return "http://" + socket_.endpoint().to_string() + "/"; }
  std::uint64_t requests() const { return requests_; }
  std::uint64_t connections() const { return connections_; }

  static std::string ok(std::string_view body, std::string_view field = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           std::string(field) + "\r\n" + std::string(body);
  }

 private:
  void accept_all();
  void serve(int descriptor);

  Script script_;
  net::ListenSocket socket_;
  std::atomic<std::uint64_t> requests_{0}, connections_{0};
  std::atomic<bool> stopped_{false};
  std::mutex lock_;  // of the next two
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

inline void ScriptedServer::accept_all() {
  while (!stopped_) {
    pollfd waiting{.fd = socket_.descriptor(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, -1);
    int const descriptor = ::accept4(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) continue;
    ++connections_;
    std::lock_guard const guard(lock_);
    open_.push_back(descriptor);
    threads_.emplace_back([this, descriptor] { serve(descriptor); });
  }
}

inline void ScriptedServer::serve(int descriptor) {
  std::string heard;
  char bytes[4096];
  for (bool goes_on = true; goes_on;) {
    auto const n = ::recv(descriptor, bytes, sizeof bytes, 0);
    if (n <= 0) break;
    heard.append(bytes, static_cast<std::size_t>(n));
    for (std::size_t end; goes_on && (end = heard.find("\r\n\r\n")) != std::string::npos;) {
      heard.erase(0, end + 4);
      auto const answer = script_(++requests_);
      ::send(descriptor, answer.bytes.data(), answer.bytes.size(), MSG_NOSIGNAL);
      goes_on = !answer.closes;
    }
  }
  std::lock_guard const guard(lock_);
  std::erase(open_, descriptor);
  ::close(descriptor);
}

}  // namespace millrace::testing
