// The server of plain TCP: connections on a host, their messages to one handler.
#pragma once
#include <atomic>
#include <memory>
#include <unordered_set>
#include <vector>

#include "millrace/conn/conversation.hpp"
#include "millrace/server/host.hpp"
#include "millrace/server/stream_handler.hpp"

namespace millrace::server {

struct StreamServerOptions : HostOptions {
  conn::MessageStreamOptions stream;
};

// A connection beyond max_connections is closed at once. Its life is its host's; the destructor
// does what is left of it.
class StreamServer final : public Tenant, private conn::Keeper, private conn::Listener {
 public:
  // check() has accepted the framing. The handler outlives the server.
  StreamServer(StreamServerOptions options, StreamHandler& handler, LoopRunner* runner,
               exec::WorkerGuard* worker_guard);
  ~StreamServer() override;

  Host& host() override { return host_; }
  std::size_t in_flight() const override { return in_flight_->load(std::memory_order_relaxed); }
  // Counts what begin() began; whoever ends it counts down. Shared, as a call may outlive its
  // server.
  std::shared_ptr<std::atomic<std::size_t>> calls_under_way() const { return in_flight_; }

 private:
  struct Loop {
    std::unordered_set<conn::Conversation*> conversations;
  };
  void open_connection(std::size_t loop, int descriptor, const net::Peer& peer) override;
  void refuse_connection(int descriptor) override;
  void go_away(std::size_t loop) override;
  void abort_all(std::size_t loop) override;
  void list_connections(std::size_t loop, std::size_t most,
                        std::vector<conn::ConnectionReport>& into) override;
  void on_closed(conn::Conversation& conversation) override;
  void on_message(conn::Conversation& conversation, base::ByteView message) override;
  void on_end(conn::Conversation& conversation) override;
  // Those of one loop, on it: what is done to one may take others away.
  std::vector<conn::SharedConversation> conversations_of(std::size_t loop);

  const StreamServerOptions options_;
  const conn::SharedOptions stream_options_;  // the connections' too
  StreamHandler& handler_;
  Host host_;
  std::vector<Loop> loops_;
  // See calls_under_way().
  std::shared_ptr<std::atomic<std::size_t>> in_flight_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace millrace::server
