// The files of a folder as answers: never leaves the loop, never enters Python.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/net/folder.hpp"
#include "millrace/server/handler.hpp"

namespace millrace::server {

struct StaticFilesOptions {
  std::string directory;
  // The file of a folder that answers for it; empty: a path that names a folder is 404.
  std::string index = "index.html";
  // The file that answers where there is none, for applications that route in the browser; empty:
  // 404. Not where the last part of the path has a dot, with a slash behind it or without: a script
  // that is missing must not become a page.
  std::string fallback;
  // Look for NAME.br, NAME.zst and NAME.gz beside NAME and send the one that suits the client. Off,
  // since it costs a look for files that most folders do not have.
  bool precompressed = false;
  // Serve names that begin with a dot. Off: that is where secrets and histories are.
  bool dot_files = false;
  // Cache-Control by the file's path below the directory: the first pattern that matches
  // (fnmatch(3); '*' takes '/' too) gives the value. None: no such field.
  std::vector<std::pair<std::string, std::string>> cache_control;
  // Content-Type by the end of the name (".wgsl", in any letter case), before those that are known.
  std::vector<std::pair<std::string, std::string>> media_types;
};

// For routes that end in a path parameter named `path`, and for those without it, which stand for
// the directory itself. What is not in the page cache keeps the loop while it is read.
class StaticFiles final : public Handler {
 public:
  // Errc::invalid_option where there is no such directory.
  static base::Result<std::unique_ptr<StaticFiles>> make(StaticFilesOptions options);

  Where where() const override { return Where::on_loop; }
  Body body() const override { return Body::streamed; }
  void handle(conn::Exchange& exchange) override;

 private:
  StaticFiles(StaticFilesOptions options, net::Folder folder);
  net::Opening open(conn::Exchange& exchange, const std::string& name) const;
  bool has_index(conn::Exchange& exchange, const std::string& folder) const;
  bool falls_back(base::ByteView path, int error) const;
  void send(conn::Exchange& exchange, const std::string& name, net::OpenFile file) const;
  base::ByteView take_compressed(conn::Exchange& exchange, const std::string& name,
                                 net::OpenFile& file) const;
  base::ByteView media_type_of(const std::string& name) const;

  StaticFilesOptions options_;
  net::Folder folder_;
};

}  // namespace millrace::server
