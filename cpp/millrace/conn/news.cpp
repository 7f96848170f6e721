#include "millrace/conn/news.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "millrace/net/letter.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::conn {

bool News::wait_for_news(base::Time until) {
  // What was asked of the loop that is to answer may still lie here.
  net::Outbox::mine().flush();
  Locked locked(lock_);
  auto const seen = news_;
  // News between the call that said to wait and this one have disarmed it.
  auto const has_news = [&] { return news_ != seen || !wants_news_ || closed_; };
  constexpr auto longest = base::seconds(3600 * 24 * 365);
  auto const left = std::clamp<base::Duration>(until - net::Reactor::clock(), 0, longest);
  return news_came_.wait_for(locked, std::chrono::nanoseconds(left), has_news);
}

void News::tell(Locked& locked) {
  ++news_;
  news_came_.notify_all();
  if (!std::exchange(wants_news_, false) || !on_news_) return;
  auto const on_news = on_news_;
  locked.unlock();
  on_news();
}

void News::watch(std::function<void()> on_news) {
  Locked const locked(lock_);
  if (!closed_) on_news_ = std::move(on_news);
}

bool News::is_closed() const {
  Locked const locked(lock_);
  return closed_;
}

}  // namespace millrace::conn
