// The table of protocols a connection can speak.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "millrace/proto/codec.hpp"
#include "millrace/proto/http/limits.hpp"

namespace millrace::conn {

// What a codec is built from. The references outlive it.
struct CodecSettings {
  proto::Side side;
  const http::Limits& limits;
  const http::DateField* date = nullptr;  // the loop's; servers only
};

struct Protocol {
  std::string_view name;  // as users write it: "h1"
  std::string_view alpn;  // as TLS negotiates it
  std::unique_ptr<proto::Codec> (*make)(const CodecSettings& settings, base::Time now);
};

// A new protocol is one row in protocols.cpp.
std::span<const Protocol> protocols();
const Protocol* find_protocol(std::string_view name);

}  // namespace millrace::conn
