#include "millrace/conn/connection_report.hpp"

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

}  // namespace millrace::conn
