// What operators ask of a running server: which requests it works on, who is connected, and whether
// its loops answer.
#include <algorithm>

#include "millrace/server/server.hpp"

namespace millrace::server {

UnderWay Server::under_way(std::size_t most, base::Time deadline) {
  auto told =
      ask_loops<conn::OpenRequest>(host_.loops(), deadline, [this, most](auto i, auto& into) {
        if (most > 0) loops_[i]->connections.list_open(into);
      });
  std::ranges::sort(told.items, {}, &conn::OpenRequest::since);
  told.items.resize(std::min(told.items.size(), most));
  return {std::move(told.items), told.silent_loops};
}

ConnectionReports Server::connections(std::size_t most, base::Time deadline) {
  return ask_loops<conn::ConnectionReport>(host_.loops(), deadline,
                                           [this, most](auto i, auto& into) {
                                             loops_[i]->connections.list(into, most);
                                             for (auto& one : into) one.loop = i;
                                           });
}

}  // namespace millrace::server
