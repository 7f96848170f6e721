// Entity tags and the lists of them that requests bring (RFC 9110 8.8.3).
#pragma once
#include <optional>

#include "millrace/base/bytes.hpp"

namespace millrace::http {

struct EntityTag {
  base::ByteView opaque;  // what stands between the quotes
  bool is_weak = false;
};

// How two tags are compared (RFC 9110 8.8.3.2).
enum class Comparison : bool {
  strong,  // the same, and neither is weak: byte for byte the same representation
  weak,    // the same, whether weak or not: good enough for a cache
};
bool are_equal(const EntityTag& a, const EntityTag& b, Comparison how);

// A text that is one tag and nothing else.
std::optional<EntityTag> read_entity_tag(base::ByteView text);

// Whether a list names our tag. What stands behind a member that is malformed is not looked at.
bool list_names(base::ByteView list, const EntityTag& ours, Comparison how);

}  // namespace millrace::http
