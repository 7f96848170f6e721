// A whole form: fields and small files in memory, larger ones on disk.
#pragma once
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "millrace/net/spool_file.hpp"
#include "millrace/proto/forms/form_type.hpp"
#include "millrace/proto/forms/multipart.hpp"
#include "millrace/proto/forms/urlencoded.hpp"
#include "millrace/server/body_sink.hpp"

namespace millrace::server {

// The files of one form that are too large for memory lie one behind the other in one temporary
// file, so that a form costs one descriptor at most.
class FormReader final : public BodySink {
 public:
  struct Entry {
    forms::PartHead head;
    std::string bytes;  // where it is not spooled
    std::uint64_t spooled_at = 0;
    std::uint64_t size = 0;
    bool is_spooled = false;
  };

  // `folder`: for temporary files. Errors as read_form_type().
  static base::Result<std::unique_ptr<FormReader>> make(base::ByteView content_type,
                                                        const forms::FormLimits& limits,
                                                        std::string folder);

  // BodySink. Errors: malformed_message, body_too_large (which names the limit),
  // unsupported_media_type, disk_full.
  base::Status expect(std::uint64_t bytes) override;
  base::Status put(base::ByteView piece) override;
  base::Status finish() override;
  bool may_block() const override { return is_spooling_; }

  // After finish(), once.
  std::vector<Entry> take_entries() { return std::move(entries_); }
  net::SpoolFile take_spool() { return std::move(spool_); }

 private:
  FormReader(const forms::FormType& type, const forms::FormLimits& limits, std::string folder);
  base::Status put_multipart(forms::MultipartParser& parser, base::ByteView piece);
  base::Status begin_part(forms::PartHead head);
  base::Status add(base::ByteView data);
  base::Status spool(base::ByteView data);
  base::Status take_memory(std::size_t bytes);

  forms::FormLimits const limits_;
  std::string const folder_;
  std::variant<forms::UrlencodedParser, forms::MultipartParser> parser_;
  std::vector<Entry> entries_;
  net::SpoolFile spool_;
  std::size_t in_memory_ = 0;
  bool is_spooling_ = false;  // the part that is coming
};

}  // namespace millrace::server
