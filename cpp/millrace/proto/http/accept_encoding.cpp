#include "millrace/proto/http/accept_encoding.hpp"

#include "millrace/proto/http/text.hpp"

namespace millrace::http {
namespace {

// RFC 9110 12.4.2: "0" or "1" and up to three decimals. None: malformed.
std::optional<int> read_weight(ByteView text) {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  if (text.size() > 5 || (text.size() > 1 && text[1] != '.')) return std::nullopt;
  int weight = (text[0] - '0') * 1000;
  for (std::size_t i = 2, unit = 100; i < text.size(); ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    weight += (text[i] - '0') * static_cast<int>(unit);
  }
  return weight <= 1000 ? std::optional(weight) : std::nullopt;
}

struct Member {
  ByteView coding;
  int weight = 1000;
};

// A weight that is malformed is no wish for the coding: 0.
Member read_member(ByteView text) {
  auto const semicolon = text.find(';');
  Member member{trimmed(text.substr(0, semicolon))};
  if (semicolon == ByteView::npos) return member;
  auto const parameter = trimmed(text.substr(semicolon + 1));
  bool const is_weight = equals_ignoring_case(parameter.substr(0, 2), "q=");
  member.weight = is_weight ? read_weight(parameter.substr(2)).value_or(0) : 0;
  return member;
}

// RFC 9110 8.4.1.3
bool is_same(ByteView said, ByteView coding) {
  return equals_ignoring_case(said, coding) ||
         (coding == "gzip" && equals_ignoring_case(said, "x-gzip"));
}

}  // namespace

std::optional<int> weight_of(const Head& request, ByteView coding) {
  std::optional<int> of_all;
  for (std::size_t i = 0; i < request.size(); ++i) {
    if (!equals_ignoring_case(request.name(i), "accept-encoding")) continue;
    auto list = request.value(i);
    while (!list.empty()) {
      auto const member = read_member(take_member(list));
      if (is_same(member.coding, coding)) return member.weight;
      if (member.coding == "*") of_all = member.weight;
    }
  }
  return of_all;
}

std::optional<std::size_t> choose_coding(const Head& request, std::span<const ByteView> codings) {
  std::optional<std::size_t> best;
  int best_weight = 0;
  for (std::size_t i = 0; i < codings.size(); ++i) {
    auto const weight = weight_of(request, codings[i]).value_or(0);
    if (weight <= best_weight) continue;
    best = i;
    best_weight = weight;
  }
  // As it is, the representation is always acceptable, but preferred only if named.
  bool const prefers_none = best && weight_of(request, "identity").value_or(0) > best_weight;
  return prefers_none ? std::nullopt : best;
}

}  // namespace millrace::http
