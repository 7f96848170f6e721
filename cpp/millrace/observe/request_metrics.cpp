#include "millrace/observe/request_metrics.hpp"

#include <algorithm>
#include <bit>

namespace millrace::observe {
namespace {

constexpr std::string_view other_method = "_OTHER";
// RFC 9110 and RFC 5789; the most frequent first.
constexpr std::array<std::string_view, 9> known_methods{
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"};

}  // namespace

std::string_view method_label(base::ByteView method) {
  for (auto const known : known_methods)
    if (method == known) return known;
  return other_method;
}

RequestMetrics::RequestMetrics(std::size_t max_series)
    : max_series_(max_series), slots_(std::bit_ceil(2 * max_series + 1)) {}

RequestMetrics::~RequestMetrics() {
  for (auto& slot : slots_) delete slot.load(std::memory_order_relaxed);
}

void RequestMetrics::Series::record(base::Duration duration) {
  std::size_t bucket = 0;
  while (bucket < bounds.size() && duration > bounds[bucket]) ++bucket;
  buckets[bucket].add();
  sum_ns.add(static_cast<std::uint64_t>(duration));
}

// A client that left has no status, and no duration that would say anything about the server; it is
// counted by the loop.
void RequestMetrics::record(const trace::RequestDone& event) {
  if (!event.is_complete() && !event.is_refused) return;
  find({method_label(event.words.method()), event.words.route(), event.status})
      .record(event.duration());
}

RequestMetrics::Series& RequestMetrics::find(const Key& key) {
  auto const mask = slots_.size() - 1;
  auto const address = reinterpret_cast<std::uintptr_t>(key.route.data()) ^
                       reinterpret_cast<std::uintptr_t>(key.method.data()) * 31;
  auto at = (address * 0x9E3779B97F4A7C15U >> 32) + key.status;
  for (;; ++at) {
    auto& slot = slots_[at & mask];
    auto* series = slot.load(std::memory_order_relaxed);
    if (series && series->key == key) return *series;
    if (series) continue;
    if (count_ == max_series_) return overflow_;
    ++count_;
    series = new Series{key, {}, {}};
    slot.store(series, std::memory_order_release);
    return *series;
  }
}

Sample RequestMetrics::sample_of(const Series& series, Labels labels) {
  Sample sample{std::move(labels), static_cast<double>(series.sum_ns.get()) / 1e9, {}};
  for (auto const& bucket : series.buckets) sample.buckets.push_back(bucket.get());
  return sample;
}

Family RequestMetrics::snapshot() const {
  Family family{"http_server_request_duration_seconds",
                "Duration of HTTP server requests, from the first byte to the last of the answer.",
                Family::Kind::histogram};
  for (auto const bound : bounds) family.bounds.push_back(static_cast<double>(bound) / 1e9);
  for (auto const& slot : slots_) {
    auto const* series = slot.load(std::memory_order_acquire);
    if (!series) continue;
    Labels labels{{"http_request_method", std::string(series->key.method)},
                  {"url_scheme", "http"},
                  {"http_response_status_code", std::to_string(series->key.status)}};
    if (!series->key.route.empty()) labels.emplace_back("http_route", series->key.route);
    family.samples.push_back(sample_of(*series, std::move(labels)));
  }
  auto overflowed = sample_of(overflow_, {{"otel_metric_overflow", "true"}});
  if (overflowed.count()) family.samples.push_back(std::move(overflowed));
  std::sort(family.samples.begin(), family.samples.end(),
            [](const Sample& a, const Sample& b) { return a.labels < b.labels; });
  return family;
}

}  // namespace millrace::observe
