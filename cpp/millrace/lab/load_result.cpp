#include "millrace/lab/load_result.hpp"

#include <algorithm>

namespace millrace::lab {
namespace {

std::string_view name_of_error(std::size_t kind) {
  if (kind == LoadTally::unexpected_body) return LoadTally::unexpected_body_name;
  return base::describe(static_cast<base::Errc>(kind)).name;
}

}  // namespace

void LoadResult::add(const LoadTally& tally) {
  requests += tally.answered.get();
  unsent += tally.unsent.get();
  reconnects += tally.reconnects.get();
  for (std::size_t kind = 0; kind < tally.errors.size(); ++kind)
    if (auto const n = tally.errors[kind].get()) errors[std::string(name_of_error(kind))] += n;
  for (std::size_t status = 0; status < tally.statuses.size(); ++status)
    if (auto const n = tally.statuses[status].get()) statuses[static_cast<int>(status)] += n;
  bytes_in += tally.bytes_in.get();
  bytes_out += tally.bytes_out.get();
  elapsed = std::max(elapsed, static_cast<base::Duration>(tally.elapsed_ns.get()));
  cpu += static_cast<base::Duration>(tally.cpu_ns.get());
  latency.add(tally.latency.snapshot());
  intended.add(tally.intended.snapshot());
  connect.add(tally.connect.snapshot());
  ttfb.add(tally.ttfb.snapshot());
}

}  // namespace millrace::lab
