#include "millrace/conn/exchange.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "millrace/conn/server_connection.hpp"

namespace millrace::conn {

using base::Errc;
using trace::Moment;

namespace {

struct FreeExchanges {
  static constexpr std::size_t kept = 1024;  // per thread; about 1 kB each
  std::vector<Exchange*> list;
  ~FreeExchanges() {
    for (auto* exchange : list) delete exchange;
    list.clear();
  }
};
thread_local FreeExchanges free_exchanges;

}  // namespace

// A part of an answer on its way home from another thread.
struct Exchange::PartLetter : net::Letter {
  Exchange* exchange = nullptr;
  http::Part part;
  bool last = false;
};

Exchange* Exchange::take() {
  auto& list = free_exchanges.list;
  if (list.empty()) return new Exchange;
  auto* exchange = list.back();
  list.pop_back();
  return exchange;
}

void Exchange::give(Exchange* exchange) {
  auto& list = free_exchanges.list;
  if (list.size() >= FreeExchanges::kept) {
    delete exchange;
    return;
  }
  exchange->reset();
  list.push_back(exchange);
}

void Exchange::reset() {
  head = {};
  if (whole_body.capacity() > BodyReader::kept_bytes) {
    whole_body = {};
  } else {
    whole_body.clear();
  }
  stamps = {};
  parameter_count = 0;
  route = {};
  native = false;
  subject = waiting = nullptr;
  admitted = 0;
  held = promised = 0;
  filtered_.reset();
  observer_.store(nullptr, std::memory_order_relaxed);
  unwritten_.store(0, std::memory_order_relaxed);
  writer_waits_.store(false, std::memory_order_relaxed);
  gone_.store(false, std::memory_order_relaxed);
  absorbed_ = collected_ = credited_ = 0;
  bytes_out_ = 0;
  status_ = 0;
  body_mode_ = BodyMode::unread;
  decoding_.reset();
  started_ = head_sent_ = handed_over_ = refused_ = broken_ = false;
}

void Exchange::summarize() {
  auto const method = head.method_text(), path = head.path();
  auto const of_method = std::min(method.size(), summary_bytes - 1);
  auto const of_path = std::min(path.size(), summary_bytes - 1 - of_method);
  auto* at = std::copy_n(method.data(), of_method, summary_.data());
  *at++ = ' ';
  at = std::copy_n(path.data(), of_path, at);
  summary_size_ = static_cast<std::uint8_t>(at - summary_.data());
}

const net::Endpoint& Exchange::peer() const { return connection_->pump_.peer(); }

void Exchange::reply(http::ResponseHead head, base::Bytes body) {
  if (stamping_) stamps.stamp(Moment::handler_done, net::Reactor::clock());
  started_ = true;
  using Tell = ServerConnection::Tell;
  if (home_->in_thread()) {
    http::Part part(std::in_place_type<http::ResponseMessage>, std::move(head), std::move(body));
    connection_->take_part(*this, std::move(part), true, Tell::by_return);
    return;
  }
  message_.emplace(std::move(head), std::move(body));
  open = [](net::Letter& letter) {
    auto& exchange = static_cast<Exchange&>(letter);
    auto message = std::move(*exchange.message_);
    exchange.message_.reset();
    exchange.connection_->take_part(exchange, std::move(message), true, Tell::by_observer);
  };
  home_->deliver(*this);
}

void Exchange::reply_in_pieces(http::ResponseHead head, base::ByteChain body) {
  if (stamping_) stamps.stamp(Moment::handler_done, net::Reactor::clock());
  started_ = true;
  deliver_part(http::ChainedResponse{std::move(head), std::move(body)}, true);
}

void Exchange::interim(http::ResponseHead head) {
  assert(head.status >= 100 && head.status < 200 && head.status != 101);
  deliver_part(std::move(head), false);
}

void Exchange::start(http::ResponseHead head) {
  if (stamping_) stamps.stamp(Moment::handler_done, net::Reactor::clock());
  started_ = true;
  deliver_part(std::move(head), false);
}

bool Exchange::write(base::Bytes bytes) {
  auto const size = bytes.size();
  auto const under_way = unwritten_.fetch_add(size) + size;
  bool const full = under_way >= connection_->options_.pump.high_water_bytes;
  if (full) writer_waits_.store(true);
  deliver_part(http::Data{std::move(bytes)}, false);
  // The connection may have absorbed everything by now; it says so by taking the flag back.
  return !full || !writer_waits_.load();
}

void Exchange::finish(http::Fields trailers) { deliver_part(http::End{std::move(trailers)}, true); }

void Exchange::fail(base::Error error) { deliver_part(http::Reset{std::move(error)}, true); }

void Exchange::upgrade(http::ResponseHead head, std::unique_ptr<proto::Codec> next) {
  assert(home_->in_thread());
  connection_->next_codec_ = std::move(next);
  reply(std::move(head), {});
}

void Exchange::deliver_part(http::Part&& part, bool last) {
  using Tell = ServerConnection::Tell;
  if (home_->in_thread()) {
    connection_->take_part(*this, std::move(part), last, Tell::by_return);
    return;
  }
  auto* letter = new PartLetter;
  letter->exchange = this;
  letter->part = std::move(part);
  letter->last = last;
  letter->open = [](net::Letter& l) {
    std::unique_ptr<PartLetter> const mine(&static_cast<PartLetter&>(l));
    auto& exchange = *mine->exchange;
    exchange.connection_->take_part(exchange, std::move(mine->part), mine->last, Tell::by_observer);
  };
  home_->deliver(*letter);
}

void Exchange::send_on(http::Part&& part) {
  if (!broken_) connection_->send_part(*this, std::move(part));
}

void Exchange::return_credit() {
  if (home_->in_thread()) {
    connection_->go_on_with_body(*this);
    return;
  }
  struct CreditLetter : net::Letter {
    Exchange* exchange = nullptr;
  };
  auto* letter = new CreditLetter;
  letter->exchange = this;
  letter->open = [](net::Letter& l) {
    std::unique_ptr<CreditLetter> const mine(&static_cast<CreditLetter&>(l));
    mine->exchange->connection_->go_on_with_body(*mine->exchange);
  };
  home_->deliver(*letter);
}

void Exchange::collect_body(std::size_t limit) {
  body_mode_ = BodyMode::collecting;
  collect_limit_ = limit;
  handed_over_ = false;
  if (head.content_length().value_or(0) > limit) {
    connection_->refuse(*this, Errc::body_too_large);
    return;
  }
  connection_->grant_credit(*this);
}

void Exchange::stream_body() {
  if (body_mode_ == BodyMode::streaming) return;
  body_mode_ = BodyMode::streaming;
  connection_->grant_credit(*this);
}

void Exchange::decode_body(const std::vector<coding::Coding>& codings,
                           const coding::DecodeLimits& limits) {
  decoding_ = std::make_unique<BodyDecoding>(codings, limits);
  head.remove("content-encoding");
  head.remove("content-length");
}

}  // namespace millrace::conn
