#include "millrace/conn/client_loop.hpp"

#include <future>
#include <utility>

namespace millrace::conn {

using base::Errc;
using base::Error;
using Connected = base::Result<SharedConversation>;

ClientLoop::ClientLoop() : thread_([this] { reactor_.run(); }) {}

ClientLoop::~ClientLoop() {
  std::promise<void> closed;
  reactor_.post([&] {
    auto const left = open_;  // each takes itself away
    for (auto* conversation : left)
      conversation->end(Error{Errc::cancelled, {}, "the program ends"});
    auto const left_datagrams = open_datagrams_;
    for (auto const& datagrams : left_datagrams) datagrams->end();
    closed.set_value();
  });
  closed.get_future().wait();
  reactor_.stop();
  thread_.join();
}

Connected ClientLoop::connect(const std::vector<net::Endpoint>& addresses, base::Time deadline,
                              SharedOptions options, const net::SocketOptions& socket) {
  Connected outcome = Error{Errc::name_not_found, {}, "no address"};
  for (auto const& address : addresses) {
    std::promise<Connected> promise;
    reactor_.post([&, address] {
      auto const done = [&, address](base::Result<int> descriptor) {
        promise.set_value(descriptor ? Connected(begin(*descriptor, address, options, socket))
                                     : Connected(descriptor.take_error()));
      };
      net::connect_socket(reactor_, address, deadline, done, socket);
    });
    outcome = promise.get_future().get();
    if (outcome || outcome.error().code == Errc::connect_timeout) break;
  }
  return outcome;
}

SharedConversation ClientLoop::begin(int descriptor, const net::Endpoint& peer,
                                     SharedOptions options, const net::SocketOptions& socket) {
  auto stream =
      net::make_socket_stream(reactor_, descriptor, peer, {.quick_acks = socket.quickack == 1});
  auto conversation =
      Conversation::make(reactor_, std::move(stream), std::move(options), *this, nullptr);
  open_.insert(conversation.get());
  conversation->begin();
  return conversation;
}

base::Result<SharedDatagrams> ClientLoop::connect_datagrams(
    const std::vector<net::Endpoint>& addresses, const DatagramConversationOptions& options) {
  base::Status outcome = Error{Errc::name_not_found, {}, "no address"};
  for (auto const& address : addresses) {
    auto socket = net::ConnectedDatagramSocket::open(address, options.socket);
    outcome = socket.take_status();
    if (!outcome) continue;
    // See SharedDatagrams.
    auto const datagrams = std::make_shared<DatagramConversation>(
        reactor_, std::move(*socket), options,
        [this](const SharedDatagrams& closed) { open_datagrams_.erase(closed); });
    std::promise<base::Status> begun;
    reactor_.post([&] { begun.set_value(begin(datagrams)); });
    outcome = begun.get_future().get();
    if (outcome) return datagrams;
  }
  return outcome;
}

base::Status ClientLoop::begin(const SharedDatagrams& datagrams) {
  if (!buffers_) buffers_ = std::make_unique<net::DatagramBuffers>(net::default_datagram_batch);
  auto status = datagrams->begin(*buffers_);
  if (status) open_datagrams_.insert(datagrams);
  return status;
}

}  // namespace millrace::conn
