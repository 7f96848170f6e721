// application/x-www-form-urlencoded (WHATWG URL 5.1).
#pragma once
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"
#include "millrace/proto/forms/form_limits.hpp"

namespace millrace::forms {

// put() the body, however it was cut, then finish(). Every body is well-formed: an escape that is
// none stands for itself. One owner at a time.
class UrlencodedParser {
 public:
  struct Pair {
    base::ByteView name, value;  // decoded; of the parser
  };

  explicit UrlencodedParser(const FormLimits& limits) : limits_(limits) {}

  base::Status put(base::ByteView piece);
  base::Status finish();
  // After finish().
  const std::vector<Pair>& pairs() const { return pairs_; }

 private:
  FormLimits const limits_;
  std::string text_;  // decoded in place, which makes nothing longer
  std::vector<Pair> pairs_;
};

}  // namespace millrace::forms
