// Requests that never were, for those who record them.
#pragma once
#include <map>
#include <string>

#include "millrace/trace/sink.hpp"

namespace millrace::observe {

struct ScriptedWords final : trace::RequestWords {
  std::string method_text = "GET", target_text = "/", protocol_text = "HTTP/1.1",
              client_text = "127.0.0.1", unread_text;
  base::ByteView route_text;
  std::map<std::string, std::string, std::less<>> fields;

  base::ByteView method() const override { return method_text; }
  base::ByteView target() const override { return target_text; }
  base::ByteView protocol() const override { return protocol_text; }
  base::ByteView unread_line() const override { return unread_text; }
  base::ByteView route() const override { return route_text; }
  base::ByteView client() const override { return client_text; }
  base::ByteView field(base::ByteView name) const override {
    auto const found = fields.find(name);
    return found == fields.end() ? base::ByteView{} : found->second;
  }
};

inline const ScriptedWords plain_words;

inline trace::RequestDone done(const trace::Stamps& stamps, std::uint64_t bytes_out = 0,
                               std::uint16_t status = 200,
                               const trace::RequestWords& words = plain_words) {
  return {stamps, stamps[trace::Moment::written], bytes_out, status, words};
}

}  // namespace millrace::observe
