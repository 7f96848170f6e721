#include "millrace/server/datagram_handler.hpp"

#include <utility>

namespace millrace::server {

void DatagramCall::finish(std::unique_ptr<DatagramCall> call, DatagramOutcome outcome) {
  call->outcome = outcome;
  call->open = [](net::Letter& letter) {
    std::unique_ptr<DatagramCall> done(&static_cast<DatagramCall&>(letter));
    done->home_.on_done(std::move(done));
  };
  auto& letter = *call.release();
  letter.reactor_.deliver(letter);
}

void DatagramCall::finish_late(std::unique_ptr<DatagramCall> call, DatagramOutcome outcome) {
  auto const calls = call->calls_;
  std::lock_guard const guard(calls->lock);
  if (calls->can_come_home) return finish(std::move(call), outcome);
  calls->under_way.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace millrace::server
