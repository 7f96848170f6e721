// Lets output wait until the outermost caller is done.
#pragma once

namespace millrace::conn {

// While one lives, the stream's output waits: callbacks may send, sending may call back, and only
// the outermost settles, that is, writes and decides what becomes of the connection. So one write
// carries all that a read brought about. The stream has `settle()` and an `int depth_`, zero at
// first.
template <typename Stream>
class OutputHold {
 public:
  explicit OutputHold(Stream& stream) : stream_(stream) { ++stream_.depth_; }
  OutputHold(const OutputHold&) = delete;
  OutputHold& operator=(const OutputHold&) = delete;
  ~OutputHold() {
    if (stream_.depth_ == 1) stream_.settle();
    --stream_.depth_;
  }

 private:
  Stream& stream_;
};

}  // namespace millrace::conn
