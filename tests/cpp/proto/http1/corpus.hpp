// The corpus of tests/interop/requests: what a server refuses, and the nearest that it takes. The
// files are TOML of the plainest kind: tables, and a key with its value on each line.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace millrace::test {

struct Case {
  std::string file;
  std::string name;
  std::string clause;
  std::string request;  // the bytes
  std::string why;
  // Refused: the answer, and the sentence of the rule that is broken (http1/rules.hpp).
  std::uint16_t status = 0;  // 0: accepted
  std::string rule;
  bool in_body = false;  // broken behind a head that is fine
  // Accepted: what a handler sees.
  std::string seen;  // method, path and query
  std::string body;
  std::string authority = "a";
  bool closes = false;  // the connection ends behind the answer

  bool is_accepted() const { return status == 0; }
};

// All of them; read once.
const std::vector<Case>& corpus();

}  // namespace millrace::test
