#include "millrace/proto/http/entity_tag.hpp"

namespace millrace::http {
namespace {

using base::ByteView;

// Takes one tag off the front.
std::optional<EntityTag> take_tag(ByteView& text) {
  EntityTag tag;
  tag.is_weak = text.starts_with("W/");  // case-sensitive
  auto rest = text.substr(tag.is_weak ? 2 : 0);
  if (!rest.starts_with('"')) return std::nullopt;
  auto const end = rest.find('"', 1);
  if (end == ByteView::npos) return std::nullopt;
  tag.opaque = rest.substr(1, end - 1);
  for (char c : tag.opaque)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return std::nullopt;
  text = rest.substr(end + 1);
  return tag;
}

void skip_blanks(ByteView& text) {
  auto const at = text.find_first_not_of(" \t");
  text.remove_prefix(at == ByteView::npos ? text.size() : at);
}

// Blanks and the commas of empty members (RFC 9110 5.6.1.2).
void skip_to_member(ByteView& text) {
  auto const at = text.find_first_not_of(" \t,");
  text.remove_prefix(at == ByteView::npos ? text.size() : at);
}

}  // namespace

bool are_equal(const EntityTag& a, const EntityTag& b, Comparison how) {
  bool const may_match = how == Comparison::weak || (!a.is_weak && !b.is_weak);
  return may_match && a.opaque == b.opaque;
}

std::optional<EntityTag> read_entity_tag(ByteView text) {
  auto const tag = take_tag(text);
  return text.empty() ? tag : std::nullopt;
}

bool list_names(ByteView list, const EntityTag& ours, Comparison how) {
  for (skip_to_member(list); !list.empty(); skip_to_member(list)) {
    auto const tag = take_tag(list);
    if (!tag) return false;
    skip_blanks(list);
    if (!list.empty() && list.front() != ',') return false;
    if (are_equal(*tag, ours, how)) return true;
  }
  return false;
}

}  // namespace millrace::http
