#include "millrace/conn/body_reader.hpp"

#include <utility>

namespace millrace::conn {

base::Result<BodyReader::Piece> BodyReader::read() {
  std::lock_guard const guard(lock_);
  if (next_piece_ < pieces_.size()) {
    Piece piece{std::move(pieces_[next_piece_++]), false, false};
    if (next_piece_ == pieces_.size()) {
      pieces_.clear();
      next_piece_ = 0;
    }
    credit_due_ += piece.bytes.size();
    return piece;
  }
  if (error_) return *error_;
  if (ended_) return Piece{{}, true, false};
  reader_waits_ = true;
  return Piece{{}, false, true};
}

void BodyReader::reset(bool has_body) {
  limit_ = std::numeric_limits<std::size_t>::max();
  if (!has_body && ended_ && pieces_.empty() &&
      received_ == 0) {  // the usual request: nothing to undo, no lock
    error_.reset();
    reader_waits_ = false;
    return;
  }
  std::lock_guard const guard(lock_);
  pieces_.clear();
  next_piece_ = 0;
  credit_due_ = 0;
  received_ = 0;
  error_.reset();
  trailers_ = {};
  ended_ = !has_body;
  reader_waits_ = false;
}

void BodyReader::put(base::Bytes bytes) {
  std::lock_guard const guard(lock_);
  received_ += bytes.size();
  if (!is_too_large()) {
    pieces_.push_back(std::move(bytes));
  } else if (!error_) {
    error_ =
        base::Error{base::Errc::body_too_large, {}, "limit " + std::to_string(limit_) + " bytes"};
  }
}

void BodyReader::end(http::Fields trailers) {
  std::lock_guard const guard(lock_);
  ended_ = true;
  trailers_ = std::move(trailers);
}

void BodyReader::fail(const base::Error& error) {
  std::lock_guard const guard(lock_);
  if (!ended_) error_ = error;
}

bool BodyReader::take_wants_notice() {
  std::lock_guard const guard(lock_);
  return std::exchange(reader_waits_, false);
}

std::size_t BodyReader::take_credit_due() {
  std::lock_guard const guard(lock_);
  return std::exchange(credit_due_, 0);
}

bool BodyReader::has_ended() const {
  std::lock_guard const guard(lock_);
  return ended_;
}

bool BodyReader::has_failed() const {
  std::lock_guard const guard(lock_);
  return error_.has_value();
}

std::string BodyReader::take_all() {
  std::lock_guard const guard(lock_);
  std::string all;
  all.reserve(received_);
  for (; next_piece_ < pieces_.size(); ++next_piece_) all += pieces_[next_piece_].view();
  pieces_.clear();
  next_piece_ = 0;
  return all;
}

}  // namespace millrace::conn
