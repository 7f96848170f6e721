// What is done with datagrams.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "millrace/net/datagram_socket.hpp"
#include "millrace/net/letter.hpp"

namespace millrace::server {

enum class DatagramOutcome : std::uint8_t { answered, silent, failed };

class DatagramCall;

// Where a call began, and ends. Home loop only.
class DatagramHome {
 public:
  virtual void on_done(std::unique_ptr<DatagramCall> call) = 0;

 protected:
  ~DatagramHome() = default;
};

// Shared by a server and by its calls, which may outlive it.
struct DatagramCalls {
  std::atomic<std::size_t> under_way{0};
  std::mutex lock;  // of all below
  bool can_come_home = true;
};

// A datagram on its way to where it is handled, and the answer on its way home. One owner at a
// time.
class DatagramCall final : public net::Letter {
 public:
  DatagramCall(DatagramHome& home, net::Reactor& reactor, std::shared_ptr<DatagramCalls> calls)
      : home_(home), reactor_(reactor), calls_(std::move(calls)) {}
  // Any thread of the server's, or one that may outlive it.
  static void finish(std::unique_ptr<DatagramCall> call, DatagramOutcome outcome);
  static void finish_late(std::unique_ptr<DatagramCall> call, DatagramOutcome outcome);

  DatagramHome& home() { return home_; }
  net::DatagramSocket* socket = nullptr;
  net::Endpoint from;
  std::string datagram, answer;
  DatagramOutcome outcome = DatagramOutcome::silent;
  void* subject = nullptr;  // the handler's, while it is on its way there

 private:
  DatagramHome& home_;
  net::Reactor& reactor_;
  const std::shared_ptr<DatagramCalls> calls_;  // the server's too
};

// Lives as long as the server.
class DatagramHandler {
 public:
  using Outcome = DatagramOutcome;
  enum class Form : std::uint8_t {
    at_once,  // handle() is called where the pattern says
    later,    // begin() is called on the loop that read it
  };
  virtual ~DatagramHandler() = default;
  virtual Form form() const { return Form::at_once; }
  // `answer` is empty before.
  virtual Outcome handle(base::ByteView datagram, const net::Endpoint& from,
                         std::string& answer) = 0;
  // Ends with DatagramCall::finish_late().
  virtual void begin(std::unique_ptr<DatagramCall>) {}
  // What begin() began is to end soon. Any thread.
  virtual void cancel() {}
};

// Sends every datagram back, without entering any language run-time.
class DatagramEcho final : public DatagramHandler {
 public:
  Outcome handle(base::ByteView datagram, const net::Endpoint&, std::string& answer) override {
    answer = datagram;
    return Outcome::answered;
  }
};

}  // namespace millrace::server
