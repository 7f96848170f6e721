// What proxies say of their client, in arbitrary bytes: Forwarded, and nodes of X-Forwarded-For.
//
// A broken promise aborts.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "millrace/proto/http/forwarded.hpp"

namespace {

using namespace millrace;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

void look_at_node(base::ByteView text) {
  auto const node = http::read_forwarded_node(text);
  if (!node) return;
  require(!text.empty(), "nothing is no node");
  require(text.find(node->address) != text.npos, "an address is part of its node");
  require(text.front() != '[' || node->address.find(']') == text.npos,
          "an address ends at its bracket");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::ByteView const text(reinterpret_cast<const char*>(data), size);
  look_at_node(text);
  auto const hops = http::read_forwarded(text);
  if (!hops) return 0;
  require(hops->size() <= size, "a hop takes a byte at least");
  for (auto const& hop : *hops) {
    require(hop.for_node.size() + hop.host.size() + hop.proto.size() <= size,
            "what is said is no longer than the field");
    look_at_node(hop.for_node);
  }
  // One member more, on either side, changes nothing about the others.
  auto const more = http::read_forwarded("for=a," + std::string(text) + ",for=b");
  require(more && more->size() == hops->size() + 2, "members do not touch each other");
  return 0;
}
