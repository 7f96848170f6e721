#include "millrace/observe/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::observe {

void Histogram::record(base::Duration nanoseconds, std::uint64_t count) {
  if (count == 0) return;
  if (counts_.empty()) counts_.resize(Buckets::count);
  counts_[Buckets::index_of(nanoseconds)] += count;
  total_ += count;
}

void Histogram::add(const Histogram& other) {
  if (other.counts_.empty()) return;
  if (counts_.empty()) counts_.resize(Buckets::count);
  for (std::size_t i = 0; i < Buckets::count; ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
}

void Histogram::subtract(const Histogram& earlier) {
  if (counts_.empty() || earlier.counts_.empty()) return;
  for (std::size_t i = 0; i < Buckets::count; ++i) counts_[i] -= earlier.counts_[i];
  total_ -= earlier.total_;
}

base::Duration Histogram::min() const {
  if (total_ == 0) return 0;
  auto const first = std::find_if(counts_.begin(), counts_.end(), [](auto n) { return n != 0; });
  return Buckets::lowest_in(static_cast<std::size_t>(first - counts_.begin()));
}

base::Duration Histogram::max() const {
  if (total_ == 0) return 0;
  auto const last = std::find_if(counts_.rbegin(), counts_.rend(), [](auto n) { return n != 0; });
  return Buckets::highest_in(static_cast<std::size_t>(counts_.rend() - last) - 1);
}

double Histogram::mean() const {
  if (total_ == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    auto const middle =
        (static_cast<double>(Buckets::lowest_in(i)) + static_cast<double>(Buckets::highest_in(i))) /
        2;
    sum += middle * static_cast<double>(counts_[i]);
  }
  return sum / static_cast<double>(total_);
}

base::Duration Histogram::percentile(double percent) const {
  if (total_ == 0) return 0;
  auto const share = std::clamp(percent, 0.0, 100.0) / 100;
  // The largest rank that 99.9 % of 1,000 may have is 999, whatever the product's last bit says.
  auto const rank = std::ceil(share * static_cast<double>(total_) * (1 - 1e-12));
  auto const wanted = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(rank), 1, total_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= wanted) return Buckets::highest_in(i);
  }
  return max();
}

std::uint64_t Histogram::count_above(base::Duration nanoseconds) const {
  if (total_ == 0) return 0;
  auto const own = Buckets::index_of(nanoseconds);
  std::uint64_t above = 0;
  for (std::size_t i = own + 1; i < counts_.size(); ++i) above += counts_[i];
  return above;
}

std::vector<Histogram::Bucket> Histogram::buckets() const {
  std::vector<Bucket> filled;
  for (std::size_t i = 0; i < counts_.size(); ++i)
    if (counts_[i] != 0)
      filled.push_back({Buckets::lowest_in(i), Buckets::highest_in(i), counts_[i]});
  return filled;
}

Histogram Histogram::copy_of(const std::atomic<std::uint64_t>* counts) {
  Histogram seen;
  seen.counts_.resize(Buckets::count);
  for (std::size_t i = 0; i < Buckets::count; ++i) {
    seen.counts_[i] = counts[i].load(std::memory_order_relaxed);
    seen.total_ += seen.counts_[i];
  }
  return seen;
}

}  // namespace millrace::observe
