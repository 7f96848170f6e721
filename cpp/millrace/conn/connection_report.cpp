#include "millrace/conn/connection_report.hpp"

#include "millrace/conn/conversation.hpp"
#include "millrace/conn/server_connection.hpp"

namespace millrace::conn {

void ConnectionSet::list(std::vector<ConnectionReport>& into, std::size_t most) const {
  for (auto* connection = first_; connection && most > 0; connection = connection->next_, --most)
    into.push_back(connection->report());
}

ConnectionReport ServerConnection::report() const {
  using enum ConnectionReport::State;
  int const descriptor = pump_.descriptor();
  return {
      .id = net::socket_cookie(descriptor),
      .peer = pump_.peer().to_string(),
      .age = net::Reactor::clock() - since_,
      .requests = requests_,
      .state = open_                      ? answering
               : pump_.unsent_bytes() > 0 ? sending
                                          : idle,
      .unsent_bytes = pump_.unsent_bytes(),
      .tcp = net::read_tcp_report(descriptor),
  };
}

ConnectionReport Conversation::report() {
  using enum ConnectionReport::State;
  Locked const locked(lock_);
  auto const unsent = stream_.unsent_bytes() + outgoing_bytes_;
  return {
      .id = net::socket_cookie(stream_.descriptor()),
      .peer = peer_.to_string(),
      .age = net::Reactor::clock() - since_,
      .requests = stream_.messages(),
      .state = inbox_bytes() > 0 ? answering
               : unsent > 0      ? sending
                                 : idle,
      .unsent_bytes = unsent,
      .tcp = net::read_tcp_report(stream_.descriptor()),
  };
}

}  // namespace millrace::conn
