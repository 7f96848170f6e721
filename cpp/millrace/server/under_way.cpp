// What operators ask of a running server: which requests it works on, and whether its loops answer.
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

}  // namespace millrace::server
