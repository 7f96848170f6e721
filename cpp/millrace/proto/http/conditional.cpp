#include "millrace/proto/http/conditional.hpp"

#include "millrace/proto/http/date.hpp"

namespace millrace::http {
namespace {

// If-Match and If-None-Match: whether any of a field's lines names what we have, "*" included.
bool names_ours(const Head& request, ByteView name, const std::optional<EntityTag>& ours,
                Comparison how) {
  for (std::size_t i = 0; i < request.size(); ++i) {
    if (!equals_ignoring_case(request.name(i), name)) continue;
    auto const value = request.value(i);
    if (value == "*" || (ours && list_names(value, *ours, how))) return true;
  }
  return false;
}

// A date that cannot be read, or is one of several, is as good as none (RFC 9110 13.1.3, 13.1.4).
std::optional<std::int64_t> date_in(const Head& request, ByteView name, std::int64_t now) {
  auto const value = request.find(name);
  return value && count_of(request, name) == 1 ? read_date(*value, now) : std::nullopt;
}

}  // namespace

std::size_t count_of(const Head& request, ByteView lower_case_name) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < request.size(); ++i)
    count += equals_ignoring_case(request.name(i), lower_case_name) ? 1 : 0;
  return count;
}

Precondition evaluate(const Head& request, const Validators& ours, std::int64_t now) {
  auto const method = request.method();
  // RFC 9110 13.2.1: methods that neither select nor change a representation know no conditions.
  if (method == Method::options || method == Method::trace || method == Method::connect)
    return Precondition::holds;
  bool const is_read = method == Method::get || method == Method::head;
  if (request.find("if-match")) {
    if (!names_ours(request, "if-match", ours.entity_tag, Comparison::strong))
      return Precondition::fails;
  } else if (auto const date = date_in(request, "if-unmodified-since", now);
             date && ours.last_modified > *date) {
    return Precondition::fails;
  }
  if (request.find("if-none-match")) {
    if (names_ours(request, "if-none-match", ours.entity_tag, Comparison::weak))
      return is_read ? Precondition::not_modified : Precondition::fails;
  } else if (auto const date = date_in(request, "if-modified-since", now);
             is_read && date && ours.last_modified <= *date) {
    return Precondition::not_modified;
  }
  return Precondition::holds;
}

bool range_counts(const Head& request, const Validators& ours, std::int64_t now) {
  auto const value = request.find("if-range");
  if (!value) return true;
  if (count_of(request, "if-range") > 1) return false;
  if (auto const tag = read_entity_tag(*value))
    return ours.entity_tag && are_equal(*tag, *ours.entity_tag, Comparison::strong);
  auto const date = read_date(*value, now);
  return date && *date == ours.last_modified && ours.last_modified < now;
}

}  // namespace millrace::http
