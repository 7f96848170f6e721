#include "millrace/server/stream_server.hpp"

#include <utility>

#include "millrace/server/queued_calls.hpp"

namespace millrace::server {

using base::Errc;
using base::Error;
using conn::Conversation;

StreamServer::StreamServer(StreamServerOptions options, StreamHandler& handler, LoopRunner* runner,
                           exec::WorkerGuard* worker_guard)
    : options_(std::move(options)),
      // The connections' too.
      stream_options_(std::make_shared<conn::MessageStreamOptions>(options_.stream)),
      handler_(handler),
      host_(options_, *this, runner, worker_guard),
      loops_(host_.loops().size()) {}

StreamServer::~StreamServer() {
  host_.stop_accepting();
  host_.stop_loops();
}

// ----------------------------------------------------------------------------------------------
// connections

void StreamServer::open_connection(std::size_t index, int descriptor, const net::Peer& peer) {
  auto& reactor = host_.loops()[index];
  bool const each_message = handler_.form() == StreamHandler::Form::each_message;
  auto stream = net::make_socket_stream(reactor, descriptor, peer.endpoint,
                                        {.quick_acks = options_.listening.socket.quickack == 1});
  auto const conversation = Conversation::make(reactor, std::move(stream), stream_options_, *this,
                                               each_message ? this : nullptr);
  conversation->loop = index;
  loops_[index].conversations.insert(conversation.get());
  auto* const queue = host_.loops().queue();
  if (each_message && queue)
    // A batch that is under way keeps it too.
    conversation->attachment = std::make_shared<QueuedCalls>(
        *conversation, handler_, *queue, *in_flight_, options_.stream.high_water_bytes);
  if (!each_message) {
    in_flight_->fetch_add(1, std::memory_order_relaxed);
    handler_.begin(*conversation);
  }
  conversation->begin();
}

void StreamServer::refuse_connection(int descriptor) { net::send_and_close(descriptor, {}); }

void StreamServer::on_closed(Conversation& conversation) {
  loops_[conversation.loop].conversations.erase(&conversation);
  if (conversation.attachment) static_cast<QueuedCalls&>(*conversation.attachment).forget();
  host_.connection_closed(conversation.peer());
}

std::vector<conn::SharedConversation> StreamServer::conversations_of(std::size_t loop) {
  std::vector<conn::SharedConversation> all;
  for (auto* conversation : loops_[loop].conversations)
    all.push_back(conversation->shared_from_this());
  return all;
}

void StreamServer::go_away(std::size_t loop) {
  for (auto const& conversation : conversations_of(loop)) conversation->go_away();
}

void StreamServer::abort_all(std::size_t loop) {
  for (auto const& conversation : conversations_of(loop))
    conversation->end(Error{Errc::cancelled, {}, "the server stops"});
}

void StreamServer::list_connections(std::size_t loop, std::size_t most,
                                    std::vector<conn::ConnectionReport>& into) {
  for (auto* conversation : loops_[loop].conversations) {
    if (into.size() == most) return;
    auto& report = into.emplace_back(conversation->report());
    auto const* const calls = static_cast<QueuedCalls*>(conversation->attachment.get());
    if (calls && calls->is_busy()) report.state = conn::ConnectionReport::State::answering;
  }
}

// ----------------------------------------------------------------------------------------------
// messages

void StreamServer::on_message(Conversation& conversation, base::ByteView message) {
  if (conversation.attachment)
    return static_cast<QueuedCalls&>(*conversation.attachment).add(message);
  if (handler_.handle(conversation, message)) return;
  conversation.home().counters().requests_failed.add();
  conversation.end(Error{Errc::cancelled, {}, "its handler failed"});
}

void StreamServer::on_end(Conversation& conversation) {
  if (conversation.attachment) return static_cast<QueuedCalls&>(*conversation.attachment).end();
  conversation.close();
}

}  // namespace millrace::server
