// What a form may make its reader hold or write. Each error names the limit.
#pragma once
#include <cstddef>
#include <cstdint>

namespace millrace::forms {

struct FormLimits {
  // Parts of a multipart form. Pages with a thousand inputs exist; each costs some 200 bytes.
  std::size_t parts = 1000;
  // Bytes of a part's head, all its lines. Browsers send about 150, with long file names 500.
  std::size_t part_head_bytes = 8 * 1024;
  // Bytes of a part's name, and of its file's: four times what file systems take.
  std::size_t name_bytes = 1024;
  // Bytes of a part that is no file: it is held in memory. A long text takes some 100 kB.
  std::size_t field_bytes = 1024 * 1024;
  // Bytes that one form holds in memory: heads, fields and the files that are not on disk.
  std::size_t memory_bytes = 4 * 1024 * 1024;
  // A file of more bytes goes to the disk; so does one that memory_bytes has no room for.
  std::size_t spool_bytes = 256 * 1024;
  // Bytes that one form writes to the disk. Raise it, and total_bytes, where larger files are
  // expected.
  std::uint64_t disk_bytes = 128 * 1024 * 1024;
  // Bytes of a multipart body, whatever it consists of.
  std::uint64_t total_bytes = 128 * 1024 * 1024;
  // Pairs and bytes of an urlencoded form. It has no files, so it is short.
  std::size_t pairs = 1000;
  std::size_t urlencoded_bytes = 1024 * 1024;
};

}  // namespace millrace::forms
