// Lines on their way from the loops to the one thread that writes them out.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/time.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::observe {

struct LineQueueOptions {
  // Bytes that wait per loop, a power of two. What does not fit is dropped and counted: a slow disk
  // costs lines, never requests. A megabyte is some 10,000 lines, and a tenth of a second at the
  // highest rates.
  std::size_t ring_bytes = 1024 * 1024;
  // How long lines may wait for others to be written together with them.
  base::Duration interval = base::milliseconds(100);
};

// A ring of bytes per loop, shared by the loops' recorders and the reader. One reader, on a thread
// that is no loop.
class LineQueue {
 public:
  // What a loop puts its lines into. Home loop only.
  class Ring {
   public:
    Ring(LineQueue& queue, std::size_t bytes);
    // A whole line, its end included. Never waits.
    void put(base::ByteView line);

   private:
    friend class LineQueue;
    void take(std::string& into);
    LineQueue& queue_;
    std::size_t const size_;
    std::unique_ptr<char[]> const bytes_;
    std::atomic<std::size_t> put_{0}, taken_{0};  // since the beginning; their difference waits
    trace::Counter lines_, dropped_;
  };
  // How a call of write_to() ended.
  enum class Ended : std::uint8_t {
    closed,       // nothing is left, and nothing will come
    interrupted,  // interrupt() was called; what was taken is written
    failed,       // the descriptor takes nothing: told once, later calls go on trying
    recovered,    // it does again
  };

  explicit LineQueue(const LineQueueOptions& options);
  LineQueue(const LineQueue&) = delete;
  LineQueue& operator=(const LineQueue&) = delete;

  // Before the reader begins.
  Ring& add_ring();

  // --- the reader's
  // Writes until one of the ends; lines that the descriptor does not take are dropped and counted.
  Ended write_to(int descriptor);
  // Waits for lines and takes all there are; empty: closed, or interrupted.
  std::string take();
  int error() const { return error_; }  // why it failed, an errno

  // --- any thread
  void interrupt();
  void close();
  bool is_closed() const;
  std::uint64_t lines() const;    // put, and neither dropped nor lost
  std::uint64_t dropped() const;  // no room, or not taken by the descriptor

 private:
  void ring_bell(bool urgent);
  bool wait();  // false: interrupted, or closed and empty
  void take_all(std::string& into);
  bool write(int descriptor, base::ByteView batch);

  LineQueueOptions const options_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::atomic<bool> rung_{false}, urgent_{false};
  mutable std::mutex lock_;
  std::condition_variable bell_;
  bool closed_ = false, interrupted_ = false;  // lock_
  // The reader's.
  bool failing_ = false;
  bool torn_ = false;  // what was written last is half a line
  int error_ = 0;
  trace::Counter lost_;
};

// Owners: the recorders of every loop, and whoever reads.
using SharedLineQueue = std::shared_ptr<LineQueue>;

}  // namespace millrace::observe
