#include "millrace/proto/http/media_type.hpp"

#include <algorithm>
#include <array>

#include "millrace/proto/http/text.hpp"

namespace millrace::http {
namespace {

using base::ByteView;

struct Row {
  ByteView extension;  // lower case
  ByteView type;
};

// From IANA's registry; in the order of the extensions, for the search below.
constexpr std::array rows{
    Row{"7z", "application/x-7z-compressed"},
    Row{"aac", "audio/aac"},
    Row{"apng", "image/apng"},
    Row{"atom", "application/atom+xml"},
    Row{"avi", "video/x-msvideo"},
    Row{"avif", "image/avif"},
    Row{"bmp", "image/bmp"},
    Row{"bz2", "application/x-bzip2"},
    Row{"cjs", "text/javascript; charset=utf-8"},
    Row{"css", "text/css; charset=utf-8"},
    Row{"csv", "text/csv; charset=utf-8"},
    Row{"doc", "application/msword"},
    Row{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    Row{"eot", "application/vnd.ms-fontobject"},
    Row{"epub", "application/epub+zip"},
    Row{"flac", "audio/flac"},
    Row{"geojson", "application/geo+json"},
    Row{"gif", "image/gif"},
    Row{"gz", "application/gzip"},
    Row{"htm", "text/html; charset=utf-8"},
    Row{"html", "text/html; charset=utf-8"},
    Row{"ico", "image/vnd.microsoft.icon"},
    Row{"ics", "text/calendar; charset=utf-8"},
    Row{"jar", "application/java-archive"},
    Row{"jpeg", "image/jpeg"},
    Row{"jpg", "image/jpeg"},
    Row{"js", "text/javascript; charset=utf-8"},
    Row{"json", "application/json"},
    Row{"jsonl", "application/jsonl"},
    Row{"jxl", "image/jxl"},
    Row{"m3u8", "application/vnd.apple.mpegurl"},
    Row{"m4a", "audio/mp4"},
    Row{"m4v", "video/x-m4v"},
    Row{"map", "application/json"},
    Row{"md", "text/markdown; charset=utf-8"},
    Row{"mid", "audio/midi"},
    Row{"mjs", "text/javascript; charset=utf-8"},
    Row{"mov", "video/quicktime"},
    Row{"mp3", "audio/mpeg"},
    Row{"mp4", "video/mp4"},
    Row{"mpd", "application/dash+xml"},
    Row{"mpeg", "video/mpeg"},
    Row{"odp", "application/vnd.oasis.opendocument.presentation"},
    Row{"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    Row{"odt", "application/vnd.oasis.opendocument.text"},
    Row{"oga", "audio/ogg"},
    Row{"ogg", "audio/ogg"},
    Row{"ogv", "video/ogg"},
    Row{"opus", "audio/ogg"},
    Row{"otf", "font/otf"},
    Row{"parquet", "application/vnd.apache.parquet"},
    Row{"pdf", "application/pdf"},
    Row{"png", "image/png"},
    Row{"ppt", "application/vnd.ms-powerpoint"},
    Row{"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    Row{"rss", "application/rss+xml"},
    Row{"rtf", "application/rtf"},
    Row{"svg", "image/svg+xml"},
    Row{"tar", "application/x-tar"},
    Row{"tif", "image/tiff"},
    Row{"tiff", "image/tiff"},
    Row{"ts", "video/mp2t"},
    Row{"ttf", "font/ttf"},
    Row{"txt", "text/plain; charset=utf-8"},
    Row{"vtt", "text/vtt; charset=utf-8"},
    Row{"wasm", "application/wasm"},
    Row{"wav", "audio/wav"},
    Row{"weba", "audio/webm"},
    Row{"webm", "video/webm"},
    Row{"webmanifest", "application/manifest+json"},
    Row{"webp", "image/webp"},
    Row{"woff", "font/woff"},
    Row{"woff2", "font/woff2"},
    Row{"xhtml", "application/xhtml+xml"},
    Row{"xls", "application/vnd.ms-excel"},
    Row{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    Row{"xml", "text/xml; charset=utf-8"},
    Row{"yaml", "application/yaml"},
    Row{"yml", "application/yaml"},
    Row{"zip", "application/zip"},
    Row{"zst", "application/zstd"},
};
static_assert(std::ranges::is_sorted(rows, {}, &Row::extension), "the search relies on it");

constexpr std::size_t longest_extension = std::ranges::max(rows, {}, [](const Row& row) {
                                            return row.extension.size();
                                          }).extension.size();

}  // namespace

ByteView media_type_of(ByteView file_name) {
  constexpr ByteView unknown = "application/octet-stream";
  auto const name = file_name.substr(file_name.rfind('/') + 1);  // npos + 1 is 0
  auto const dot = name.rfind('.');
  if (dot == ByteView::npos || name.size() - dot - 1 > longest_extension) return unknown;
  std::array<char, longest_extension> buffer{};
  auto const end = std::ranges::transform(name.substr(dot + 1), buffer.begin(), lower).out;
  ByteView const extension(buffer.data(), static_cast<std::size_t>(end - buffer.begin()));
  auto const row = std::ranges::lower_bound(rows, extension, {}, &Row::extension);
  return row != rows.end() && row->extension == extension ? row->type : unknown;
}

}  // namespace millrace::http
