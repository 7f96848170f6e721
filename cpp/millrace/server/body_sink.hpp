// Where the pieces of a request's body go, without entering Python.
#pragma once
#include <cstdint>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"

namespace millrace::server {

// One owner at a time.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // Before the first piece, where the body says its length: an error refuses it unread.
  virtual base::Status expect(std::uint64_t bytes) = 0;
  // The next piece, valid during the call. After an error nothing more is put.
  virtual base::Status put(base::ByteView piece) = 0;
  // The body is over.
  virtual base::Status finish() = 0;
  // The next put() may wait for a disk.
  virtual bool may_block() const = 0;
};

}  // namespace millrace::server
