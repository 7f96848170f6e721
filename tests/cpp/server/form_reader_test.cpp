#include "millrace/server/form_reader.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace millrace::server {
namespace {

using base::Errc;
using forms::FormLimits;

constexpr std::string_view multipart = "multipart/form-data; boundary=b";

std::string file(std::string_view name, std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; name=" + std::string(name) +
         "; filename=f\r\n\r\n" + std::string(content) + "\r\n";
}

std::string field(std::string_view name, std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; name=" + std::string(name) + "\r\n\r\n" +
         std::string(content) + "\r\n";
}

// Heads are held in memory, too: what one of these takes there.
std::size_t head_bytes(std::string_view name, bool is_file) {
  auto const line = std::string_view("Content-Dispositionform-data; name=").size() + name.size();
  return line + name.size() + (is_file ? std::string_view("; filename=f").size() + 1 : 0);
}

std::unique_ptr<FormReader> reader(const FormLimits& limits, std::string folder = "/tmp") {
  auto made = FormReader::make(multipart, limits, std::move(folder));
  EXPECT_TRUE(made);
  return std::move(*made);
}

base::Status put_all(FormReader& form, std::string_view body, std::size_t piece = 7) {
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size())))
    if (auto status = form.put(body.substr(0, piece)); !status) return status;
  return form.finish();
}

std::string content(const FormReader::Entry& entry, int descriptor) {
  if (!entry.is_spooled) return entry.bytes;
  std::string text(entry.size, '\0');
  auto const count =
      ::pread(descriptor, text.data(), text.size(), static_cast<off_t>(entry.spooled_at));
  EXPECT_EQ(count, static_cast<ssize_t>(text.size()));
  return text;
}

TEST(FormReader, PutsLargeFilesOneBehindTheOtherOnDisk) {
  FormLimits limits;
  limits.spool_bytes = 10;
  auto const form = reader(limits);
  std::string const at(10, 'a'), past(11, 'b'), large(1000, 'c');
  ASSERT_TRUE(put_all(*form, file("at", at) + file("past", past) + field("x", large) +
                                 file("large", large) + "--b--"));
  auto const entries = form->take_entries();
  auto spool = form->take_spool();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(spool.size(), past.size() + large.size());
  int const descriptor = spool.release();
  EXPECT_FALSE(entries[0].is_spooled);
  EXPECT_TRUE(entries[1].is_spooled);
  EXPECT_FALSE(entries[2].is_spooled);
  EXPECT_EQ(content(entries[0], descriptor), at);
  EXPECT_EQ(content(entries[1], descriptor), past);
  EXPECT_EQ(content(entries[2], descriptor), large);
  EXPECT_EQ(content(entries[3], descriptor), large);
  ::close(descriptor);
}

TEST(FormReader, TheTemporaryFileHasNoName) {
  std::string folder = "/tmp/millrace-forms-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  FormLimits limits;
  limits.spool_bytes = 0;
  {
    auto const form = reader(limits, folder);
    ASSERT_TRUE(put_all(*form, file("a", "content") + "--b--"));
    EXPECT_EQ(::rmdir(folder.c_str()), 0);  // which would fail if the folder held anything
  }
}

TEST(FormReader, LimitsWhatAFieldHolds) {
  FormLimits limits;
  limits.field_bytes = 10;
  EXPECT_TRUE(put_all(*reader(limits), field("a", std::string(10, 'x')) + "--b--"));
  auto const status = put_all(*reader(limits), field("a", std::string(11, 'x')) + "--b--");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::body_too_large);
  EXPECT_EQ(status.error().detail, "FormLimits.field_bytes=10");
}

TEST(FormReader, LimitsWhatAFormHoldsInMemory) {
  FormLimits limits;
  auto const body = field("a", "1234") + field("b", "5678") + "--b--";
  limits.memory_bytes = 2 * head_bytes("a", false) + 8;
  EXPECT_TRUE(put_all(*reader(limits), body));
  --limits.memory_bytes;
  auto const status = put_all(*reader(limits), body);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().detail,
            "FormLimits.memory_bytes=" + std::to_string(limits.memory_bytes));
}

TEST(FormReader, PutsAFileOnDiskThatMemoryHasNoRoomFor) {
  FormLimits limits;
  limits.memory_bytes = head_bytes("a", true) + 8;
  auto const fits = reader(limits);
  ASSERT_TRUE(put_all(*fits, file("a", "12345678") + "--b--"));
  EXPECT_FALSE(fits->take_entries()[0].is_spooled);
  auto const spooled = reader(limits);
  ASSERT_TRUE(put_all(*spooled, file("a", "123456789") + "--b--"));
  EXPECT_TRUE(spooled->take_entries()[0].is_spooled);
}

TEST(FormReader, LimitsWhatAFormWrites) {
  FormLimits limits;
  limits.spool_bytes = 3;
  limits.disk_bytes = 20;
  auto const both = [](std::size_t bytes) {
    return file("a", "123456789 ") + file("b", std::string(bytes, 'x')) + "--b--";
  };
  EXPECT_TRUE(put_all(*reader(limits), both(10)));
  auto const status = put_all(*reader(limits), both(11));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().detail, "FormLimits.disk_bytes=20");
}

TEST(FormReader, RefusesALengthBeforeItComes) {
  FormLimits limits;
  limits.total_bytes = 100;
  limits.urlencoded_bytes = 10;
  auto const form = reader(limits);
  EXPECT_TRUE(form->expect(100));
  EXPECT_FALSE(form->expect(101));
  auto made = FormReader::make("application/x-www-form-urlencoded", limits, "/tmp");
  EXPECT_TRUE((*made)->expect(10));
  EXPECT_FALSE((*made)->expect(11));
}

TEST(FormReader, ReadsUrlencodedForms) {
  auto made = FormReader::make("application/x-www-form-urlencoded", {}, "/tmp");
  auto& form = **made;
  ASSERT_TRUE(put_all(form, "name=J%C3%BCrgen&tag=a&tag=b", 1));
  auto const entries = form.take_entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].head.name, "name");
  EXPECT_EQ(entries[0].bytes, "J\xc3\xbcrgen");
  EXPECT_FALSE(entries[0].head.filename);
  EXPECT_EQ(entries[2].bytes, "b");
}

TEST(FormReader, SaysWhichFolderCannotBeUsed) {
  FormLimits limits;
  limits.spool_bytes = 0;
  auto const status = put_all(*reader(limits, "/nowhere"), file("a", "1") + "--b--");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::invalid_option);
  EXPECT_NE(status.error().detail.find("/nowhere"), std::string::npos);
}

TEST(SpoolFile, SaysThatTheDiskIsFull) {
  net::SpoolFile full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.is_open());
  auto const status = full.append("a byte");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::disk_full);
}

}  // namespace
}  // namespace millrace::server
