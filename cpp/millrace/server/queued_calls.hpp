// A connection's messages on their way through the worker queue.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "millrace/conn/conversation.hpp"
#include "millrace/exec/worker_queue.hpp"
#include "millrace/server/stream_handler.hpp"

namespace millrace::server {

// One worker at a time has a batch of them; what comes meanwhile is the next batch, bounded by the
// connection's high-water mark. Where the queue is full the connection waits: nothing is lost, and
// its peer is held back. Made for a conversation and attached to it; home loop only.
class QueuedCalls final : public conn::Attachment,
                          public std::enable_shared_from_this<QueuedCalls>,
                          private net::Letter {
 public:
  QueuedCalls(conn::Conversation& conversation, StreamHandler& handler, exec::WorkerQueue& queue,
              std::atomic<std::size_t>& in_flight, std::size_t most_waiting_bytes);
  QueuedCalls(const QueuedCalls&) = delete;
  QueuedCalls& operator=(const QueuedCalls&) = delete;

  void add(base::ByteView message);
  void end();     // closes the connection behind the last answer
  void forget();  // the connection is gone: what waits is dropped
  bool is_busy() const { return is_running_ || !waiting_.ends.empty(); }

 private:
  // Messages one behind the other, and where each ends.
  struct Batch {
    std::string bytes;
    std::vector<std::size_t> ends;
  };
  struct Retry : net::WheelEntry {
    QueuedCalls* calls = nullptr;
  };
  void dispatch();
  void run();  // on a worker
  void come_home();

  conn::Conversation& conversation_;
  StreamHandler& handler_;
  exec::WorkerQueue& queue_;
  std::atomic<std::size_t>& in_flight_;
  const std::size_t most_waiting_bytes_;
  Batch waiting_, running_;
  Retry retry_;
  bool is_running_ = false, has_ended_ = false, has_failed_ = false, is_gone_ = false,
       is_paused_ = false;
  // While a batch is under way.
  conn::SharedConversation kept_conversation_;
  std::shared_ptr<QueuedCalls> kept_;
};

}  // namespace millrace::server
