#include "millrace/net/folder.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "net/scratch.hpp"

namespace millrace::net {
namespace {

namespace fs = std::filesystem;
using Way = Folder::Way;

// A folder "inside", with a secret beside it, followed in each way.
class AnyWay : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    fs::create_directories(root / "sub" / "deep");
    write("secret", "secret");
    write("inside/a", "hello");
    write("inside/sub/deep/b", "deep");
    auto opened = Folder::open(root.string(), GetParam());
    ASSERT_TRUE(opened);
    folder = std::move(*opened);
    auto const error = folder.open_file("a").error;
    if (GetParam() == Way::by_kernel && (error == ENOSYS || error == EPERM))
      GTEST_SKIP() << "this kernel, or its sandbox, has no openat2";
  }
  void write(const char* name, std::string_view content) {
    std::ofstream(fs::path(scratch.path()) / name) << content;
  }
  // The content, or the system's name for the error.
  std::string read(const std::string& path) {
    auto const opening = folder.open_file(path);
    if (opening.error != 0) return ::strerrorname_np(opening.error);
    std::string text(opening.file.size, '\0');
    EXPECT_TRUE(read_file(opening.file.slice(0, opening.file.size), text));
    return text;
  }

  testing::ScratchFolder scratch;
  fs::path root = fs::path(scratch.path()) / "inside";
  Folder folder;
};
INSTANTIATE_TEST_SUITE_P(Ways, AnyWay, ::testing::Values(Way::by_kernel, Way::step_by_step),
                         [](auto const& info) {
                           return info.param == Way::by_kernel ? "ByKernel" : "StepByStep";
                         });

TEST_P(AnyWay, FindsWhatIsThere) {
  EXPECT_EQ(read("a"), "hello");
  EXPECT_EQ(read("sub/deep/b"), "deep");
  EXPECT_EQ(read("missing"), "ENOENT");
  EXPECT_EQ(read("sub/missing/b"), "ENOENT");
  EXPECT_EQ(read("a/b"), "ENOTDIR");
  EXPECT_EQ(read("sub"), "EISDIR");
  EXPECT_EQ(read(""), "ENOENT");
  EXPECT_EQ(read(std::string(300, 'a')), "ENAMETOOLONG");
}

TEST_P(AnyWay, LetsNoPathOut) {
  for (auto const* path : {"../secret", "sub/../../secret", "/etc/passwd", "//etc/passwd", ".."})
    EXPECT_EQ(read(path), "EXDEV") << path;
  EXPECT_EQ(read(root.string() + "/a"), "EXDEV");
}

TEST_P(AnyWay, LetsNoLinkOut) {
  fs::create_symlink("../secret", root / "up");
  fs::create_symlink(fs::path(scratch.path()) / "secret", root / "absolute");
  fs::create_symlink(root / "a", root / "absolute_inside");
  fs::create_directory_symlink("..", root / "folder");
  fs::create_directory_symlink("/etc", root / "etc");
  fs::create_symlink("loop", root / "loop");
  for (auto const* path :
       {"up", "absolute", "absolute_inside", "folder/secret", "etc/passwd", "loop"})
    EXPECT_FALSE(folder.open_file(path).error == 0) << path;
}

TEST_P(AnyWay, FollowsALinkThatStaysInsideOnlyByTheKernel) {
  fs::create_symlink("sub/deep/b", root / "link");
  fs::create_directory_symlink("sub", root / "other");
  bool const follows = GetParam() == Way::by_kernel;
  EXPECT_EQ(read("link"), follows ? "deep" : "ELOOP");
  EXPECT_EQ(read("other/deep/b"), follows ? "deep" : "ENOTDIR");
}

TEST_P(AnyWay, OpensNothingButRegularFiles) {
  ASSERT_EQ(::mkfifo((root / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(read("pipe"), "EINVAL");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  (root / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  int const socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(read("socket"), "ENXIO");
  ::close(socket);
}

TEST_P(AnyWay, StaysWithItsFolderWhenThatIsRenamed) {
  fs::rename(root, fs::path(scratch.path()) / "elsewhere");
  fs::create_directory(root);
  write("inside/a", "another");
  EXPECT_EQ(read("a"), "hello");
}

TEST_P(AnyWay, LeavesNoDescriptorBehind) {
  auto const next = [] {
    int const lowest = ::dup(0);
    ::close(lowest);
    return lowest;
  };
  int const before = next();
  for (auto const* path :
       {"a", "sub/deep/b", "missing", "sub", "a/b", "../secret", "sub/deep/../b"})
    (void)folder.open_file(path);
  EXPECT_EQ(next(), before);
}

TEST(Folder, ThatIsNotThereIsAnOptionOfNoUse) {
  for (auto const* path : {"/nothing/of/this/name", "/dev/null", ""}) {
    auto const opened = Folder::open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().code, base::Errc::invalid_option);
  }
  EXPECT_EQ(Folder().open_file("a").error, ENOENT);
}

}  // namespace
}  // namespace millrace::net
