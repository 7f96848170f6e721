// A folder out of which no path leads.
#pragma once
#include <string>

#include "millrace/net/file.hpp"

namespace millrace::net {

// Opened once: if its name is given to another folder later, this one is served on. Any thread.
class Folder {
 public:
  // How a path is followed. Where the kernel has openat2 (Linux 5.6), it follows relative
  // symbolic links too, as long as they stay below the folder. Elsewhere, or where a sandbox
  // forbids the call, each part of a path is opened for itself, and a symbolic link is as good as
  // nothing.
  enum class Way : std::uint8_t { by_kernel, step_by_step };

  static base::Result<Folder> open(const std::string& path);
  static base::Result<Folder> open(const std::string& path, Way way);  // for tests

  // `path`: relative. Beside Opening's errors: EXDEV and ELOOP where it would lead out or through a
  // link, ENOENT and ENOTDIR where it leads nowhere.
  Opening open_file(const std::string& path) const;

  Folder() = default;  // of nothing: every path leads nowhere

 private:
  int open_by_kernel(const std::string& path) const;
  int open_step_by_step(const std::string& path) const;

  base::SharedDescriptor descriptor_;
  Way way_ = Way::step_by_step;
};

}  // namespace millrace::net
