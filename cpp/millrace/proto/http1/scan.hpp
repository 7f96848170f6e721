// Looks for the end of a head and for line ends that are not CR LF, 64 bytes at a time.
#pragma once
#include <cstddef>
#include <cstdint>

#include "millrace/base/bytes.hpp"

namespace millrace::http1 {

// One section (a head, a trailer section) as it arrives. Keeps what a later piece needs to know of
// an earlier one, so that the outcome is the same wherever the bytes were cut. One owner at a time.
class LineScan {
 public:
  enum class Found : std::uint8_t {
    nothing,       // no end yet
    end,           // `at` is behind the empty line
    bad_line_end,  // `at` is where a CR or LF stands alone, or the byte behind such a CR
    nul,           // `at` is where it stands
  };
  struct Outcome {
    Found found = Found::nothing;
    std::size_t at = 0;
  };

  // For a section whose first line may be the empty one that ends it: trailers.
  static LineScan behind_a_line() {
    LineScan scan;
    scan.line_is_empty_ = true;
    return scan;
  }

  // After an outcome other than `nothing` the scan is over.
  Outcome operator()(base::ByteView bytes);

 private:
  bool carriage_return_before_ = false;  // whose line feed is still to come
  bool line_is_empty_ = false;           // but for that carriage return
};

}  // namespace millrace::http1
