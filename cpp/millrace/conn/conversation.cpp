#include "millrace/conn/conversation.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace millrace::conn {

using base::ByteView;
using base::Errc;
using base::Error;

namespace {

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

SharedConversation Conversation::make(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                                      SharedOptions options, Keeper& keeper, Listener* listener) {
  // See SharedConversation.
  auto made = std::make_shared<Conversation>(reactor, std::move(stream), std::move(options), keeper,
                                             listener);
  made->self_ = made;
  reactor.counters().connections_opened.add();
  reactor.counters().connections_open.add();
  return made;
}

Conversation::Conversation(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                           SharedOptions options, Keeper& keeper, Listener* listener)
    : reactor_(reactor),
      options_(std::move(options)),
      keeper_(keeper),
      listener_(listener),
      peer_(stream->peer()),
      number_(next_number()),
      stream_(reactor, std::move(stream), *this, *options_) {
  open = [](net::Letter& letter) { static_cast<Conversation&>(letter).carry_out(); };
}

// ----------------------------------------------------------------------------------------------
// reading

void Conversation::on_message(ByteView message) {
  if (listener_) return listener_->on_message(*this, message);
  Locked locked(lock_);
  inbox_.append(message);
  reactor_.counters().bytes_copied.add(message.size());
  if (options_->framing.kind != framing::Kind::none) sizes_.push_back(message.size());
  if (inbox_bytes() >= std::max(options_->high_water_bytes, wanted_bytes_)) {
    is_full_ = true;
    stream_.pause();
  }
  tell(locked);
}

void Conversation::on_end() {
  if (listener_) return listener_->on_end(*this);
  Locked locked(lock_);
  has_ended_ = true;
  tell(locked);
}

// Stands in line behind the messages before it: whoever answers those ends our side after that.
void Conversation::on_refused(const Error& why) {
  if (listener_) return listener_->on_end(*this);
  Locked locked(lock_);
  why_ = std::make_unique<Error>(why);
  is_refused_ = true;
  tell(locked);
}

// How many bytes of the inbox are what is wanted; nothing: they are not there yet.
std::optional<std::size_t> Conversation::size_of(const Want& want) const {
  auto const there = ByteView(inbox_).substr(inbox_at_);
  switch (want.what) {
    case Want::What::message:
      if (options_->framing.kind == framing::Kind::none) break;
      if (sizes_.empty()) return {};
      return sizes_.front();
    case Want::What::some:
      if (there.empty()) return {};
      return std::min(there.size(), want.count);
    case Want::What::exactly:
      if (there.size() < want.count) return {};
      return want.count;
    case Want::What::line: {
      auto const end = there.substr(0, want.count).find('\n');
      if (end == ByteView::npos) return {};
      return end + 1;
    }
  }
  if (there.empty()) return {};
  return there.size();
}

base::Result<Conversation::Taken> Conversation::take(const Want& want, std::string& into) {
  Locked const locked(lock_);
  bool const has_messages = options_->framing.kind != framing::Kind::none;
  if (has_messages && want.what != Want::What::message)
    return Error{Errc::wrong_state, {}, "this connection has messages: take those"};
  auto const size = size_of(want);
  if (!size) return take_nothing(want, into);
  into.assign(inbox_, inbox_at_, *size);
  inbox_at_ += *size;
  wanted_bytes_ = 0;
  if (!sizes_.empty()) sizes_.pop_front();
  if (inbox_at_ == inbox_.size()) {
    inbox_.clear();
    inbox_at_ = 0;
  } else if (inbox_at_ > options_->high_water_bytes) {
    inbox_.erase(0, std::exchange(inbox_at_, 0));
  }
  if (is_full_ && inbox_bytes() <= options_->low_water_bytes) {
    is_full_ = false;
    give(order_resume);
  }
  return Taken::done;
}

base::Result<Conversation::Taken> Conversation::take_nothing(const Want& want, std::string& into) {
  auto const there = inbox_bytes();
  if (is_refused_) return *why_;
  if (want.what == Want::What::line && there >= want.count)
    return Error{Errc::message_too_large, {}, "no line end in " + std::to_string(there) + " bytes"};
  if (has_ended_ && there > 0 && want.what == Want::What::line) {
    into = inbox_.substr(inbox_at_);
    inbox_.clear();
    inbox_at_ = 0;
    return Taken::done;
  }
  if (has_ended_ && there > 0)
    return Error{Errc::incomplete_message,
                 {},
                 std::to_string(there) + " of " + std::to_string(want.count) + " bytes had come"};
  if (has_ended_) return Taken::end;
  if (closed_) return why_ ? *why_ : Error{Errc::connection_closed, {}, {}};
  wants_news_ = true;
  wanted_bytes_ = want.count;
  if (is_full_ && there < wanted_bytes_) {
    is_full_ = false;
    give(order_resume);
  }
  return Taken::wait;
}

// ----------------------------------------------------------------------------------------------
// writing

base::Result<bool> Conversation::write(base::Bytes message) {
  Locked locked(lock_);
  if (closed_) return why_ ? *why_ : Error{Errc::connection_closed, {}, {}};
  if (is_finished_)
    return Error{Errc::wrong_state, {}, "this side of the connection has been ended"};
  if (reactor_.in_thread() && outgoing_.empty()) {
    locked.unlock();
    if (auto sent = stream_.send(std::move(message)); !sent) return sent;
    if (stream_.has_room()) return true;
    locked.lock();
    unsent_bytes_ = stream_.unsent_bytes();
    wants_news_ = true;
    return false;
  }
  if (auto checked = framing::check(options_->framing, message.view()); !checked) return checked;
  outgoing_bytes_ += message.size();
  outgoing_.push_back(base::Bytes::copy_of(message.view()));
  bool const is_room_left = unsent_bytes_ + outgoing_bytes_ < options_->high_water_bytes;
  if (!is_room_left) wants_news_ = true;
  give(0);
  return is_room_left;
}

bool Conversation::has_room() {
  Locked const locked(lock_);
  bool const is_room_left = closed_ || unsent_bytes_ + outgoing_bytes_ < options_->high_water_bytes;
  if (!is_room_left) wants_news_ = true;
  return is_room_left;
}

void Conversation::on_room() {
  Locked locked(lock_);
  unsent_bytes_ = stream_.unsent_bytes();
  tell(locked);
}

void Conversation::finish() { end_with(order_finish); }
void Conversation::close() { end_with(order_close); }
void Conversation::abort() { end_with(order_abort); }

void Conversation::end_with(Order order) {
  Locked const locked(lock_);
  is_finished_ = true;
  give(order);
}

// With the lock.
void Conversation::give(std::uint8_t order) {
  orders_ |= order;
  if (closed_ || travelling_) return;
  travelling_ = shared_from_this();
  reactor_.deliver(*this);
}

// ----------------------------------------------------------------------------------------------
// home

void Conversation::carry_out() {
  Locked locked(lock_);
  auto const alive = std::exchange(travelling_, nullptr);
  auto const orders = std::exchange(orders_, std::uint8_t{0});
  auto outgoing = std::exchange(outgoing_, {});
  outgoing_bytes_ = 0;
  locked.unlock();
  if (orders & order_resume) stream_.resume();
  {
    MessageStream::Hold const hold(stream_);
    for (auto& message : outgoing)
      if (!stream_.send(std::move(message)))
        break;  // it is closed: whoever reads or writes hears why
    if (orders & order_finish) stream_.finish();
    if (orders & order_close) stream_.close_when_written();
  }
  if (orders & order_abort) stream_.abort(Error{Errc::cancelled, {}, {}});
  locked.lock();
  unsent_bytes_ = stream_.unsent_bytes();
  if (stream_.has_room()) tell(locked);
}

void Conversation::go_away() {
  if (stream_.is_closed()) return;
  stream_.stop_reading();
  if (!stream_.is_closed()) on_end();
}

// Readers and writers are told, once.
void Conversation::break_off(const Error* why) {
  Locked locked(lock_);
  closed_ = true;
  if (why) why_ = std::make_unique<Error>(*why);
  outgoing_.clear();
  outgoing_bytes_ = unsent_bytes_ = 0;
  wants_news_ = true;
  tell(locked);
}

void Conversation::on_closed(const Error* why) {
  reactor_.counters().connections_open.subtract();
  break_off(why);
  Locked locked(lock_);
  auto const on_news = forget_watcher(locked);
  auto const object = std::exchange(handlers_object_, nullptr);
  locked.unlock();
  keeper_.on_closed(*this);
  attachment.reset();
  // The callers of this are still on the stack.
  reactor_.dispose(std::make_unique<SharedConversation>(std::move(self_)).release());
}

SharedAttachment Conversation::handlers_object() const {
  Locked const locked(lock_);
  return handlers_object_;
}

void Conversation::set_handlers_object(SharedAttachment object) {
  Locked const locked(lock_);
  if (!closed_) handlers_object_ = std::move(object);
}

base::Status Conversation::failure() const {
  Locked const locked(lock_);
  return why_ ? base::Status(*why_) : base::Status();
}

std::size_t Conversation::unsent_bytes() const {
  Locked const locked(lock_);
  return unsent_bytes_ + outgoing_bytes_;
}

}  // namespace millrace::conn
