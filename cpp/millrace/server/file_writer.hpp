// A request's body on its way into a file.
#pragma once
#include "millrace/net/spool_file.hpp"
#include "millrace/server/body_sink.hpp"

namespace millrace::server {

class FileWriter final : public BodySink {
 public:
  // Takes the descriptor over; more than `most_bytes` is refused with Errc::body_too_large.
  FileWriter(int descriptor, std::uint64_t most_bytes)
      : file_(descriptor), most_bytes_(most_bytes) {}

  base::Status expect(std::uint64_t bytes) override;
  base::Status put(base::ByteView piece) override;
  base::Status finish() override { return {}; }
  bool may_block() const override { return true; }

  std::uint64_t size() const { return file_.size(); }

 private:
  net::SpoolFile file_;
  std::uint64_t const most_bytes_;
};

}  // namespace millrace::server
