#include "millrace/proto/http/content_encoding.hpp"

#include "millrace/proto/http/text.hpp"

namespace millrace::http {

std::optional<std::vector<coding::Coding>> content_codings(const Head& head, std::size_t most) {
  std::vector<coding::Coding> codings;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (!equals_ignoring_case(head.name(i), "content-encoding")) continue;
    for (auto list = head.value(i); !list.empty();) {
      auto const member = take_member(list);
      if (member.empty() || equals_ignoring_case(member, "identity")) continue;
      auto const named = coding::coding_named(member);
      if (!named || codings.size() == most) return std::nullopt;
      codings.push_back(*named);
    }
  }
  return codings;
}

}  // namespace millrace::http
