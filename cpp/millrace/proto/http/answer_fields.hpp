// The fields of an answer, of which a constant list is the other half.
#pragma once
#include "millrace/proto/http/message.hpp"

namespace millrace::http {

// The handler's own come before the preset's.
inline std::optional<ByteView> find_field(const ResponseHead& head, ByteView lower_case_name) {
  auto const own = head.fields.find(lower_case_name);
  return own || !head.preset ? own : head.preset->find(lower_case_name);
}

}  // namespace millrace::http
