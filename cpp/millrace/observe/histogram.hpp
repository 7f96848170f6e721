// Counts of durations, log-linear as in HdrHistogram: one object that records, one that is looked
// at.
#pragma once
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "millrace/base/time.hpp"

namespace millrace::observe {

// Where a duration is counted: every power of two has 64 buckets, so that a value that is read back
// is at most 1/64 (1.6 %) too high. Below 64 ns each nanosecond has a bucket of its own, and those
// between two of them stay empty.
//
// That is how a double is stored, exponent and then mantissa; so a bucket's index is what a
// double's highest bits are, and costs a conversion and a shift. It is computed some seven times
// per request.
struct Buckets {
  static constexpr int sub_bits = 6;
  static constexpr int powers = 42;
  // 2^42 ns is 73 minutes. What is longer counts as that.
  static constexpr base::Duration highest = (base::Duration{1} << powers) - 1;
  // Of 0, and of what an exponent and 6 bits of mantissa tell apart.
  static constexpr std::size_t count = 1 + (std::size_t{powers} << sub_bits);

  // A negative duration, from two clocks that disagree, counts as none.
  static constexpr std::size_t index_of(base::Duration nanoseconds) {
    auto const bits = std::bit_cast<std::uint64_t>(static_cast<double>(nanoseconds));
    auto const index = (bits >> (mantissa_bits - sub_bits)) - (exponent_of_one << sub_bits) + 1;
    // Of 0 and of what is negative as well: both are far out of range.
    if (index >= count) [[unlikely]]
      return nanoseconds <= 0 ? 0 : count - 1;
    return index;
  }
  // The lowest and the highest duration that share a bucket; of one that stays empty, the lowest is
  // above the highest.
  static constexpr base::Duration lowest_in(std::size_t index) {
    if (index == 0) return 0;
    auto const power = (index - 1) >> sub_bits;
    auto const part = ((index - 1) & (per_power - 1)) + per_power;
    return static_cast<base::Duration>(((part << power) + per_power - 1) >>
                                       sub_bits);  // rounded up
  }
  static constexpr base::Duration highest_in(std::size_t index) { return lowest_in(index + 1) - 1; }

 private:
  static constexpr std::size_t per_power = std::size_t{1} << sub_bits;
  static constexpr int mantissa_bits = 52;
  static constexpr std::uint64_t exponent_of_one = 1023;
};
static_assert(std::numeric_limits<double>::is_iec559);
static_assert(Buckets::index_of(0) == 0 && Buckets::index_of(1) == 1);
static_assert(Buckets::index_of(Buckets::highest) == Buckets::count - 1);
static_assert(Buckets::highest_in(Buckets::count - 1) == Buckets::highest);

// Counted durations, to be read, merged and written out. A value; costs no memory while it is
// empty.
class Histogram {
 public:
  void record(base::Duration nanoseconds, std::uint64_t count = 1);
  void add(const Histogram& other);
  // What was counted since `earlier`, an older state of the same histogram, was taken.
  void subtract(const Histogram& earlier);

  std::uint64_t count() const { return total_; }
  // All 0 while nothing has been counted. Bounds of the buckets that hold the extremes.
  base::Duration min() const;
  base::Duration max() const;
  double mean() const;  // from the buckets' middles
  // The duration that `percent` (0 to 100) of all do not exceed: their bucket's upper bound.
  base::Duration percentile(double percent) const;
  // How many lasted longer than this, give or take the bucket it lies in, which is not counted.
  std::uint64_t count_above(base::Duration nanoseconds) const;

  struct Bucket {
    base::Duration lowest, highest;
    std::uint64_t count;
  };
  std::vector<Bucket> buckets() const;  // those that hold something, in order

  // HdrHistogram's V2 encoding with two significant digits, not compressed. Readers want it
  // deflated, behind the cookie of the compressed form, which is left to whoever has zlib.
  std::string encode_hdr() const;

  // Of Buckets::count counts that their thread may still add to.
  static Histogram copy_of(const std::atomic<std::uint64_t>* counts);

 private:
  std::vector<std::uint64_t> counts_;  // empty, or one per bucket
  std::uint64_t total_ = 0;
};

// Several histograms under way: one thread records, any thread takes snapshots. Their memory is
// taken with the first value, in one piece, so that who records into many of them looks for it
// once; the system provides pages as they are touched, so that one of many that stays empty costs
// nothing.
template <std::size_t size>
class Recorders {
  using Count = std::atomic<std::uint64_t>;
  struct Counts {
    Count of[size][Buckets::count];
  };

 public:
  Recorders() = default;
  Recorders(const Recorders&) = delete;
  Recorders& operator=(const Recorders&) = delete;
  ~Recorders() { std::free(counts_.load(std::memory_order_relaxed)); }

  // Home of the values; stays good as long as the recorders live.
  class Writer {
   public:
    // A load and a store: nobody else writes, so there is nothing to lock.
    void record(base::Duration nanoseconds, std::size_t which = 0) const {
      auto& count = counts_->of[which][Buckets::index_of(nanoseconds)];
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

   private:
    friend class Recorders;
    explicit Writer(Counts* counts) : counts_(counts) {}
    Counts* counts_;
  };

  // The one writing thread.
  Writer writer() {
    auto* counts = counts_.load(std::memory_order_relaxed);
    if (!counts) [[unlikely]]
      counts = allocate();
    return Writer(counts);
  }
  void record(base::Duration nanoseconds, std::size_t which = 0) {
    writer().record(nanoseconds, which);
  }
  // Any thread. Values recorded meanwhile may be in it or not, each as a whole.
  Histogram snapshot(std::size_t which = 0) const {
    auto const* counts = counts_.load(std::memory_order_acquire);
    return counts ? Histogram::copy_of(counts->of[which]) : Histogram{};
  }

 private:
  [[gnu::cold, gnu::noinline]] Counts* allocate() {
    static_assert(sizeof(Count) == sizeof(std::uint64_t), "all zero bytes are counts of 0");
    auto* const counts = static_cast<Counts*>(std::calloc(1, sizeof(Counts)));
    if (!counts) throw std::bad_alloc();
    counts_.store(counts, std::memory_order_release);
    return counts;
  }

  std::atomic<Counts*> counts_{nullptr};  // published once, never replaced
};
using Recorder = Recorders<1>;

}  // namespace millrace::observe
