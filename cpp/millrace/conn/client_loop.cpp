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
        promise.set_value(descriptor ? Connected(begin(*descriptor, address, options))
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
                                     SharedOptions options) {
  auto conversation =
      Conversation::make(reactor_, net::make_socket_stream(reactor_, descriptor, peer, false),
                         std::move(options), *this, nullptr);
  open_.insert(conversation.get());
  conversation->begin();
  return conversation;
}

}  // namespace millrace::conn
