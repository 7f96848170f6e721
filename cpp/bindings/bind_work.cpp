#include "bind_work.hpp"

#include <cmath>
#include <functional>
#include <tuple>

#include "python_calls/gil.hpp"
#include "unwrap.hpp"

#include "millrace/lab/work_handler.hpp"

namespace py = pybind11;

namespace millrace::bindings {

namespace {

base::Duration nanoseconds(double seconds) {
  // 146 years: what is longer must not overflow.
  constexpr double longest = 4.6e9;
  return static_cast<base::Duration>(std::llround(std::fmin(seconds, longest) * 1e9));
}

lab::WorkOptions checked(const lab::WorkOptions& options) {
  unwrap(lab::check(options));
  return options;
}

lab::WorkOptions make_options(double cpu_seconds, double wait_seconds, double slow_fraction,
                              double slow_cpu_seconds, double slow_wait_seconds,
                              std::uint64_t seed) {
  return checked({.usual = {nanoseconds(cpu_seconds), nanoseconds(wait_seconds)},
                  .slow = {nanoseconds(slow_cpu_seconds), nanoseconds(slow_wait_seconds)},
                  .slow_fraction = slow_fraction,
                  .seed = seed});
}

}  // namespace

void bind_work(py::module_& module) {
  using namespace py::literals;

  py::class_<lab::WorkOptions>(module, "NativeWork")
      .def(py::init(&make_options), py::kw_only(), "cpu_seconds"_a = 0.0, "wait_seconds"_a = 0.0,
           "slow_fraction"_a = 0.0, "slow_cpu_seconds"_a = 0.0, "slow_wait_seconds"_a = 0.0,
           "seed"_a = 1)
      .def(py::pickle(
          [](const lab::WorkOptions& options) {
            return std::tuple(options.usual.cpu, options.usual.wait, options.slow.cpu,
                              options.slow.wait, options.slow_fraction, options.seed);
          },
          [](const std::tuple<base::Duration, base::Duration, base::Duration, base::Duration,
                              double, std::uint64_t>& state) {
            auto const& [cpu, wait, slow_cpu, slow_wait, slow_fraction, seed] = state;
            return checked({.usual = {cpu, wait},
                            .slow = {slow_cpu, slow_wait},
                            .slow_fraction = slow_fraction,
                            .seed = seed});
          }))
      .def(
          "is_slow",
          [](const lab::WorkOptions& options, std::uint64_t ordinal) {
            return lab::is_slow(options, ordinal);
          },
          "ordinal"_a);
}

std::unique_ptr<server::Handler> make_work_handler(py::handle target) {
  // Where the app has Python handlers too, who runs this holds the lock.
  return std::make_unique<lab::WorkHandler>(target.cast<const lab::WorkOptions&>(),
                                            [](const std::function<void()>& work) {
                                              python::LockGivenUp const unlocked;
                                              work();
                                            });
}

}  // namespace millrace::bindings
