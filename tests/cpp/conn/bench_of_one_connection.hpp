// One server connection on one end of a pipe in memory, a scripted peer on the other, and a service
// that the test writes.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "millrace/conn/protocols.hpp"
#include "millrace/conn/server_connection.hpp"

namespace millrace::conn {

class ScriptedService final : public Service {
 public:
  std::function<void(Exchange&)> exchange = [](Exchange& x) {
    x.reply({}, base::Bytes::borrowed("hello"));
  };
  std::function<void(Exchange&)> body = [](Exchange& x) {
    x.reply({}, base::Bytes::from(x.whole_body));
  };
  int done = 0, closed = 0;

  void on_exchange(Exchange& x) override { exchange(x); }
  void on_body(Exchange& x) override { body(x); }
  void on_done(Exchange&) override { ++done; }
  bool hold(Exchange&, std::size_t) override { return true; }
  void on_connection_closed(const net::Endpoint&) override { ++closed; }
};

class CountingSink final : public trace::Sink {
 public:
  int requests = 0;
  std::vector<std::string> refused;
  trace::Stamps last;
  void connection_accepted(const trace::ConnectionAccepted&) override {}
  void request_done(const trace::RequestDone& event) override {
    ++requests;
    last = event.stamps;
  }
  void request_refused(const trace::RequestDone& event) override {
    refused.push_back(std::to_string(event.status) + (event.is_complete() ? " " : " unheard ") +
                      std::string(event.words.method()) + '|' +
                      std::string(event.words.unread_line()));
  }
};

// The peer's end: collects what it reads.
class Peer final : public net::ReadSink {
 public:
  Peer(net::Reactor& reactor, std::unique_ptr<net::Stream> stream)
      : reactor_(reactor), stream_(std::move(stream)) {
    stream_->start(*this);
  }
  std::string heard;
  bool ended = false, reset = false;

  void says(base::ByteView bytes) {
    out_.append(bytes);
    (void)stream_->write(out_);
    settle();
  }
  void stops_reading() { stream_->pause_reading(); }
  void takes_what_the_pipe_holds() {
    takes_once_ = true;
    reads_again();
  }
  void reads_again() {
    stream_->resume_reading();
    settle();
  }
  void ends() {
    stream_->end_writing();
    settle();
  }
  void leaves() {
    stream_->abort();
    settle();
  }
  // Turns until nothing moves any more: every turn of a pipe delivers something or was not needed.
  void settle() {
    for (int i = 0; i < 400; ++i) reactor_.turn(0);
  }

  void on_bytes(base::ByteView bytes, base::Time, base::Time) override {
    heard.append(bytes);
    if (std::exchange(takes_once_, false)) stops_reading();
  }
  void on_eof(base::Time) override { ended = true; }
  void on_writable(base::Time) override { (void)stream_->write(out_); }
  void on_error(base::Error, base::Time) override { reset = true; }

 private:
  net::Reactor& reactor_;
  std::unique_ptr<net::Stream> stream_;
  base::ByteChain out_;
  bool takes_once_ = false;
};

class OneConnection : public ::testing::Test {
 protected:
  explicit OneConnection(base::Time (*time)() = net::Reactor::clock) : reactor(time) {}

  void serve(std::unique_ptr<proto::Codec> codec) {
    auto [ours, theirs] = net::make_memory_pipe(reactor, pipe_bytes);
    peer = std::make_unique<Peer>(reactor, std::move(theirs));
    auto* connection = new ServerConnection(reactor, std::move(ours), std::move(codec), service,
                                            sink, set, options);
    connection->start();
    peer->settle();
  }
  void serve_http1() {
    serve(find_protocol("h1")->make({proto::Side::server, limits, &date}, reactor.now()));
  }
  void TearDown() override {
    if (peer) {
      set.abort_all({base::Errc::cancelled, {}, {}});
      peer->settle();
    }
    EXPECT_EQ(set.size(), 0u);
  }

  net::Reactor reactor;
  std::size_t pipe_bytes = net::memory_pipe_bytes;
  http::Limits limits;
  http::DateField date;
  ServerConnectionOptions options;
  ScriptedService service;
  CountingSink sink;
  ConnectionSet set;
  std::unique_ptr<Peer> peer;
};

}  // namespace millrace::conn
