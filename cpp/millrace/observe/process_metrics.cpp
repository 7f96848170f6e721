#include "millrace/observe/process_metrics.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace millrace::observe {
namespace {

// Fields of /proc/self/stat, counted from the one behind the command's closing parenthesis
// (proc_pid_stat(5), where that is field 3).
constexpr std::size_t user_ticks = 11, system_ticks = 12, start_ticks = 19, virtual_bytes = 20,
                      resident_pages = 21;

std::vector<double> read_stat() {
  std::ifstream file("/proc/self/stat");
  std::string const text(std::istreambuf_iterator<char>(file), {});
  auto const command_end = text.rfind(')');
  if (command_end == text.npos) return {};
  std::istringstream rest(text.substr(command_end + 1));
  std::string state;
  rest >> state;
  std::vector<double> fields{0};
  for (double field = 0; rest >> field;) fields.push_back(field);
  return fields;
}

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  return 0;
}

void add_cpu_and_memory(Metrics& metrics) {
  auto const stat = read_stat();
  if (stat.size() <= resident_pages) return;
  auto const tick = static_cast<double>(::sysconf(_SC_CLK_TCK));
  auto const page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  using enum Family::Kind;
  using enum Family::Combine;
  metrics.push_back(Family{"process_cpu_seconds_total", "User and system CPU time.", counter}.add(
      {}, (stat[user_ticks] + stat[system_ticks]) / tick));
  metrics.push_back(Family{"process_resident_memory_bytes", "Memory in RAM.", gauge}.add(
      {}, stat[resident_pages] * page));
  metrics.push_back(
      Family{"process_virtual_memory_bytes", "Address space.", gauge}.add({}, stat[virtual_bytes]));
  if (auto const boot = boot_time(); boot > 0)
    metrics.push_back(Family{"process_start_time_seconds",
                             "Start of the process, since the Unix epoch.", gauge, lowest}
                          .add({}, boot + stat[start_ticks] / tick));
}

void add_descriptors(Metrics& metrics) {
  std::error_code failed;
  std::size_t open = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", failed), end; !failed && at != end;
       at.increment(failed))
    ++open;
  if (failed || open == 0) return;
  // One of them was the folder's own.
  metrics.push_back(Family{"process_open_fds", "Open descriptors.", Family::Kind::gauge}.add(
      {}, static_cast<double>(open - 1)));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    metrics.push_back(
        Family{"process_max_fds", "Descriptors that may be open.", Family::Kind::gauge}.add(
            {}, static_cast<double>(limit.rlim_cur)));
}

}  // namespace

Metrics process_metrics() {
  Metrics metrics;
  add_cpu_and_memory(metrics);
  add_descriptors(metrics);
  return metrics;
}

}  // namespace millrace::observe
