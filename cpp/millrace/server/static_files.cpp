#include "millrace/server/static_files.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "millrace/proto/http/accept_encoding.hpp"
#include "millrace/proto/http/file_path.hpp"
#include "millrace/proto/http/media_type.hpp"
#include "millrace/proto/http/text.hpp"
#include "millrace/server/file_answer.hpp"

namespace millrace::server {
namespace {

using base::ByteView;
using conn::Exchange;

const http::Fields& text_plain() {
  static const http::Fields fields{{"Content-Type", "text/plain; charset=utf-8"}};
  return fields;
}

// The path leads nowhere, in contrast to where it must not lead.
bool is_missing(int error) {
  return error == ENOENT || error == ENOTDIR || error == EISDIR || error == ENAMETOOLONG;
}

// What lies outside, or is no file, is as good as missing: who asks is not to learn the difference.
// What the process may not read is told, since that is mostly a mistake of who set the files up.
std::uint16_t status_for(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV:
    case EAGAIN:
    case EINVAL:  // a pipe or a device
    case ENXIO:   // a socket
      return 404;
    case EACCES:
    case EPERM:
      return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return 503;
    default:
      return 500;
  }
}

void answer_status(Exchange& exchange, std::uint16_t status) {
  if (status >= 500) exchange.home().counters().requests_failed.add();
  exchange.reply({.status = status, .preset = &text_plain(), .fields = {}, .content_length = {}},
                 base::Bytes::borrowed(http::reason_phrase(status)));
}

// What the route's own parameter holds; the prefix below which an app is included may bring others.
ByteView path_below(const Exchange& exchange) {
  for (std::size_t i = 0; i < exchange.parameter_count; ++i)
    if (exchange.parameters[i].name == "path") return exchange.parameters[i].value;
  return {};
}

// To the same path with a slash, so that what the index names lies beside it.
void redirect(Exchange& exchange) {
  auto const& head = exchange.head;
  auto location = http::escape_path(head.path()) + '/';
  if (!head.query().empty()) location.append("?").append(head.query());
  exchange.reply({.status = 301,
                  .preset = &text_plain(),
                  .fields = {{"Location", location}},
                  .content_length = {}},
                 base::Bytes::borrowed("Moved Permanently"));
}

bool ends_ignoring_case(ByteView name, ByteView end) {
  if (name.size() < end.size()) return false;
  return std::ranges::equal(name.substr(name.size() - end.size()), end, {}, http::lower,
                            http::lower);
}

}  // namespace

base::Result<std::unique_ptr<StaticFiles>> StaticFiles::make(StaticFilesOptions options) {
  auto folder = net::Folder::open(options.directory);
  if (!folder) return folder.take_status();
  return std::unique_ptr<StaticFiles>(new StaticFiles(std::move(options), std::move(*folder)));
}

StaticFiles::StaticFiles(StaticFilesOptions options, net::Folder folder)
    : options_(std::move(options)), folder_(std::move(folder)) {}

void StaticFiles::handle(Exchange& exchange) {
  exchange.native = true;
  auto const path = path_below(exchange);
  auto const dot_files = options_.dot_files ? http::DotFiles::served : http::DotFiles::refused;
  if (!http::may_name_file(path, dot_files)) return answer_status(exchange, 404);
  bool const names_folder = exchange.head.path().ends_with('/');
  std::string name(path);
  if (names_folder) name += options_.index;
  auto opening = open(exchange, name);
  bool const is_folder = !names_folder && (name.empty() || opening.error == EISDIR);
  if (is_folder && has_index(exchange, name)) return redirect(exchange);
  if (falls_back(path, opening.error)) {
    name = options_.fallback;
    opening = open(exchange, name);
  }
  if (opening.error != 0) return answer_status(exchange, status_for(opening.error));
  send(exchange, name, std::move(opening.file));
}

net::Opening StaticFiles::open(Exchange& exchange, const std::string& name) const {
  auto opening = folder_.open_file(name);
  if (opening.error == 0) exchange.home().counters().files_opened.add();
  return opening;
}

bool StaticFiles::has_index(Exchange& exchange, const std::string& folder) const {
  if (options_.index.empty()) return false;
  return open(exchange, folder.empty() ? options_.index : folder + '/' + options_.index).error == 0;
}

bool StaticFiles::falls_back(ByteView path, int error) const {
  if (path.ends_with('/')) path.remove_suffix(1);      // which must not hide the dot
  auto const last = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  return !options_.fallback.empty() && is_missing(error) && last.find('.') == ByteView::npos;
}

void StaticFiles::send(Exchange& exchange, const std::string& name, net::OpenFile file) const {
  http::Fields fields{{"Content-Type", media_type_of(name)}};
  for (auto const& [pattern, value] : options_.cache_control) {
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) != 0) continue;
    fields.add("Cache-Control", value);
    break;
  }
  if (options_.precompressed) {
    fields.add("Vary", "Accept-Encoding");
    auto const coding = take_compressed(exchange, name, file);
    if (!coding.empty()) fields.add("Content-Encoding", coding);
  }
  auto answer = answer_with_file(exchange.head, file, std::move(fields), std::time(nullptr));
  if (!answer) {
    exchange.home().counters().requests_failed.add();
    exchange.fail(answer.take_error());
    return;
  }
  exchange.reply_in_pieces(std::move(answer->head), std::move(answer->body));
}

// Puts the compressed file in the place of the other and returns its coding; empty: there is none
// that suits. One that is older than what it was made of would bring yesterday's content.
ByteView StaticFiles::take_compressed(Exchange& exchange, const std::string& name,
                                      net::OpenFile& file) const {
  constexpr std::int64_t second = 1'000'000'000;
  std::vector<ByteView> codings{"br", "zstd", "gzip"};
  std::vector<ByteView> suffixes{".br", ".zst", ".gz"};
  while (auto const best = http::choose_coding(exchange.head, codings)) {
    auto const at = static_cast<std::ptrdiff_t>(*best);
    auto opening = open(exchange, name + std::string(suffixes[*best]));
    if (opening.error == 0 && opening.file.modified / second >= file.modified / second) {
      file = std::move(opening.file);
      return codings[*best];
    }
    codings.erase(codings.begin() + at);
    suffixes.erase(suffixes.begin() + at);
  }
  return {};
}

ByteView StaticFiles::media_type_of(const std::string& name) const {
  for (auto const& [end, type] : options_.media_types)
    if (ends_ignoring_case(name, end)) return type;
  return http::media_type_of(name);
}

}  // namespace millrace::server
