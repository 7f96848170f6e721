// The filters there are, by name, and those of a server in their order.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "millrace/server/filters/filter.hpp"
#include "millrace/server/filters/settings.hpp"

namespace millrace::server {

// A filter to be made.
struct FilterRow {
  std::string kind;
  std::string prefix;  // of the paths that it sees, "/api" for "/api" and "/api/..."; empty: all
  Settings settings;
};

// The filters of a server. Any loop.
class Filters {
 public:
  // Errc::invalid_option for an unknown kind or settings that are not as it wants them.
  static base::Result<Filters> make(const std::vector<FilterRow>& rows);
  bool empty() const { return placed_.empty(); }
  // The first one sees the request first, and its answer last.
  Filter::Verdict on_request(conn::Exchange& exchange) const;

 private:
  struct Placed {
    std::string prefix;
    std::unique_ptr<Filter> filter;
  };
  std::vector<Placed> placed_;
};

}  // namespace millrace::server
