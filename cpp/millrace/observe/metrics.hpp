// Metrics as values: collected in one place, merged with those of other processes, written as
// Prometheus reads them.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace::observe {

using Labels = std::vector<std::pair<std::string, std::string>>;  // in the order they are written

struct Sample {
  Labels labels;
  double value = 0;  // of a histogram, the sum of what was observed
  // Histograms: how many observations fell into each bucket alone; the last one has no upper bound.
  std::vector<std::uint64_t> buckets;

  std::uint64_t count() const;
};

// All samples of one name.
struct Family {
  enum class Kind : std::uint8_t { counter, gauge, histogram };
  // What several processes make together.
  enum class Combine : std::uint8_t { sum, lowest, highest };

  std::string name;  // with its unit, and _total where it is a counter
  std::string help;
  Kind kind = Kind::counter;
  Combine combine = Combine::sum;
  std::vector<double> bounds = {};  // histograms: upper bounds of all buckets but the last
  std::vector<Sample> samples = {};

  // For those who fill it.
  Family& add(Labels labels, double sample) {
    samples.push_back({std::move(labels), sample, {}});
    return *this;
  }
};

using Metrics = std::vector<Family>;

// Families of the same name become one; in it, samples of the same labels do. The first one's
// order, help and bounds are kept; a histogram with other bounds is left out.
Metrics merge(const std::vector<Metrics>& several);

// Prometheus' text exposition format, version 0.0.4.
std::string render_prometheus(const Metrics& metrics);

}  // namespace millrace::observe
