// Metrics as Python sees them: rows of plain values, which it wraps in classes of its own.
#pragma once
#include <string>
#include <tuple>
#include <vector>

#include "enum_names.hpp"

#include "millrace/observe/metrics.hpp"

namespace millrace::bindings {

using SampleRow = std::tuple<observe::Labels, double, std::vector<std::uint64_t>>;
// Name, help, kind, how several processes combine, bounds, samples.
using FamilyRow = std::tuple<std::string, std::string, std::string, std::string,
                             std::vector<double>, std::vector<SampleRow>>;
using MetricRows = std::vector<FamilyRow>;

inline constexpr EnumNames<observe::Family::Kind, 3> metric_kinds{
    {{observe::Family::Kind::counter, "counter"},
     {observe::Family::Kind::gauge, "gauge"},
     {observe::Family::Kind::histogram, "histogram"}}};
inline constexpr EnumNames<observe::Family::Combine, 3> metric_combinations{
    {{observe::Family::Combine::sum, "sum"},
     {observe::Family::Combine::lowest, "lowest"},
     {observe::Family::Combine::highest, "highest"}}};

inline MetricRows rows_of(const observe::Metrics& metrics) {
  MetricRows rows;
  for (auto const& family : metrics) {
    std::vector<SampleRow> samples;
    for (auto const& one : family.samples) samples.emplace_back(one.labels, one.value, one.buckets);
    rows.emplace_back(family.name, family.help, name_in(metric_kinds, family.kind),
                      name_in(metric_combinations, family.combine), family.bounds,
                      std::move(samples));
  }
  return rows;
}

inline observe::Metrics metrics_of(const MetricRows& rows) {
  observe::Metrics metrics;
  for (auto const& [name, help, kind, combine, bounds, samples] : rows) {
    metrics.push_back({name,
                       help,
                       value_in(metric_kinds, kind),
                       value_in(metric_combinations, combine),
                       bounds,
                       {}});
    for (auto const& [labels, value, buckets] : samples)
      metrics.back().samples.push_back({labels, value, buckets});
  }
  return metrics;
}

inline MetricRows merge_rows(const std::vector<MetricRows>& several) {
  std::vector<observe::Metrics> all;
  for (auto const& rows : several) all.push_back(metrics_of(rows));
  return rows_of(observe::merge(all));
}

}  // namespace millrace::bindings
