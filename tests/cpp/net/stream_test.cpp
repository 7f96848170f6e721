#include "millrace/net/stream.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "net/loops.hpp"
#include "net/scratch.hpp"
#include "net/sockets.hpp"

#include "millrace/base/read_piece.hpp"
#include "millrace/net/file.hpp"

namespace millrace::net {
namespace {

using base::ByteChain;
using testing::turn_until;

// Writes down what a stream tells.
struct Recorder final : ReadSink {
  std::string bytes;
  std::size_t reads = 0, largest_read = 0;
  int ends = 0, writables = 0;
  std::size_t bytes_at_end = 0;
  base::Time ready = 0, received = 0;
  std::optional<base::Error> error;
  std::function<void()> on_read = [] {}, on_room = [] {};
  std::function<void(base::ByteView)> on_bytes_of = [](base::ByteView) {};

  void on_bytes(base::ByteView more, base::Time r, base::Time at) override {
    bytes += more;
    ++reads;
    largest_read = std::max(largest_read, more.size());
    ready = r;
    received = at;
    on_bytes_of(more);
    on_read();
  }
  void on_eof(base::Time) override {
    ++ends;
    bytes_at_end = bytes.size();
  }
  void on_writable(base::Time) override {
    ++writables;
    on_room();
  }
  void on_error(base::Error e, base::Time) override {
    EXPECT_FALSE(error) << "told once";
    error = std::move(e);
  }
};

std::string pattern_of(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (auto& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

ByteChain chain_of(std::string_view text) {
  ByteChain chain;
  chain.append(base::Bytes::copy_of(text));
  return chain;
}

// Every transport keeps the same promises: two streams, connected, on one loop.
enum class Transport { tcp, unix_socket, memory };

std::string name_of(const ::testing::TestParamInfo<Transport>& info) {
  switch (info.param) {
    case Transport::tcp:
      return "Tcp";
    case Transport::unix_socket:
      return "Unix";
    case Transport::memory:
      return "Memory";
  }
  return {};
}

class AnyStream : public ::testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    switch (GetParam()) {
      case Transport::tcp: {
        auto pair = testing::tcp_pair();
        ::fcntl(pair.peers.get(), F_SETFL, O_NONBLOCK);
        use(pair.ours.release(), pair.peers.release());
        break;
      }
      case Transport::unix_socket: {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        use(ends[0], ends[1]);
        break;
      }
      case Transport::memory:
        std::tie(left, right) = make_memory_pipe(reactor, 50'000);
        break;
    }
    left->start(left_sink);
    right->start(right_sink);
  }
  void use(int a, int b) {
    left = make_socket_stream(reactor, a, {}, {.stamp_reads = true});
    right = make_socket_stream(reactor, b, {}, {.stamp_reads = true});
  }
  void settle() {
    for (int i = 0; i < 20; ++i) reactor.turn(0);
  }

  Reactor reactor;
  Recorder left_sink, right_sink;
  std::unique_ptr<Stream> left, right;
};
INSTANTIATE_TEST_SUITE_P(Transports, AnyStream,
                         ::testing::Values(Transport::tcp, Transport::unix_socket,
                                           Transport::memory),
                         name_of);

TEST_P(AnyStream, EchoesWhatIsWritten) {
  right_sink.on_read = [&] {
    auto chain = chain_of(std::exchange(right_sink.bytes, {}));
    ASSERT_TRUE(right->write(chain));
  };
  auto chain = chain_of("hello");
  ASSERT_TRUE(left->write(chain));
  EXPECT_TRUE(chain.empty());
  EXPECT_TRUE(turn_until(reactor, [&] { return left_sink.bytes == "hello"; }));
  EXPECT_GT(left_sink.ready, 0);
  EXPECT_GE(left_sink.received, left_sink.ready);
}

TEST_P(AnyStream, DoesNotTellFromInsideWrite) {
  auto chain = chain_of("hello");
  ASSERT_TRUE(left->write(chain));
  EXPECT_EQ(right_sink.reads, 0u);
}

TEST_P(AnyStream, WritesSegmentsInOrder) {
  ByteChain chain;
  std::string whole;
  for (int i = 0; i < 200; ++i) {
    auto const piece = pattern_of(ByteChain::copy_below + 1 + static_cast<std::size_t>(i));
    chain.append(base::Bytes::copy_of(piece));  // too large to be copied together: a segment each
    whole += piece;
  }
  ASSERT_GT(chain.segments(), 100u);
  left_sink.on_room = [&] { ASSERT_TRUE(left->write(chain)); };
  ASSERT_TRUE(left->write(chain));
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.bytes.size() == whole.size(); }));
  EXPECT_TRUE(right_sink.bytes == whole);
}

TEST_P(AnyStream, PartialWriteGoesOnWhenThereIsRoomAgain) {
  auto const content = pattern_of(8 * 1024 * 1024);
  auto chain = chain_of(content);
  left_sink.on_room = [&] { ASSERT_TRUE(left->write(chain)); };
  ASSERT_TRUE(left->write(chain));
  ASSERT_FALSE(chain.empty()) << "8 MB must not fit";
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.bytes.size() == content.size(); }));
  EXPECT_TRUE(right_sink.bytes == content);
  EXPECT_TRUE(chain.empty());
  EXPECT_GT(left_sink.writables, 0);
  EXPECT_LE(right_sink.largest_read, base::PiecePool::piece_bytes);

  settle();
  auto const calls = left_sink.writables;
  settle();
  EXPECT_EQ(left_sink.writables, calls) << "on_writable is owed only to a write that left bytes";
}

TEST_P(AnyStream, WriterThatStopsHalfwayIsNotToldAgain) {
  auto chain = chain_of(pattern_of(8 * 1024 * 1024));
  ASSERT_TRUE(left->write(chain));
  ASSERT_TRUE(turn_until(reactor, [&] { return left_sink.writables == 1; }));
  settle();
  EXPECT_EQ(left_sink.writables, 1);
}

TEST_P(AnyStream, WriterMayAskToBeToldAlthoughNothingWaits) {
  left->request_writable();
  EXPECT_EQ(left_sink.writables, 0) << "never from inside the call";
  ASSERT_TRUE(turn_until(reactor, [&] { return left_sink.writables == 1; }));
  settle();
  EXPECT_EQ(left_sink.writables, 1);
}

TEST_P(AnyStream, TellsNothingWhilePausedAndAllOnceResumed) {
  right->pause_reading();
  auto chain = chain_of("waiting");
  ASSERT_TRUE(left->write(chain));
  settle();
  EXPECT_EQ(right_sink.reads, 0u);
  right->resume_reading();
  EXPECT_TRUE(turn_until(reactor, [&] { return right_sink.bytes == "waiting"; }));
}

TEST_P(AnyStream, MayBePausedFromOnBytes) {
  right_sink.on_read = [&] { right->pause_reading(); };
  auto chain = chain_of("first");
  ASSERT_TRUE(left->write(chain));
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.bytes == "first"; }));
  chain = chain_of("second");
  ASSERT_TRUE(left->write(chain));
  settle();
  EXPECT_EQ(right_sink.bytes, "first");
  right->resume_reading();
  EXPECT_TRUE(turn_until(reactor, [&] { return right_sink.bytes == "firstsecond"; }));
}

TEST_P(AnyStream, TellsTheEndOnceBehindTheBytes) {
  auto chain = chain_of("bye");
  ASSERT_TRUE(left->write(chain));
  left->end_writing();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends > 0; }));
  settle();
  EXPECT_EQ(right_sink.ends, 1);
  EXPECT_EQ(right_sink.bytes, "bye");
}

TEST_P(AnyStream, OtherDirectionGoesOnAfterAnEnd) {
  left->end_writing();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 1; }));
  auto chain = chain_of("still here");
  ASSERT_TRUE(right->write(chain));
  EXPECT_TRUE(turn_until(reactor, [&] { return left_sink.bytes == "still here"; }));
}

// A client that leaves while its request is worked on must be noticed, whatever is still unread.
TEST_P(AnyStream, TellsTheEndWhilePausedAndAgainBehindTheUnreadBytes) {
  right->pause_reading();
  auto chain = chain_of("unread");
  ASSERT_TRUE(left->write(chain));
  left->end_writing();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 1; }));
  EXPECT_EQ(right_sink.bytes_at_end, 0u);
  right->resume_reading();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 2; }));
  EXPECT_EQ(right_sink.bytes_at_end, 6u);
  settle();
  EXPECT_EQ(right_sink.ends, 2);
}

TEST_P(AnyStream, PeersCloseIsToldWhilePausedAndDoesNotSpinTheLoop) {
  right->pause_reading();
  left->close();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 1; }));
  right->end_writing();  // now both directions have ended, which the kernel reports for ever
  settle();
  auto const events = reactor.counters().events.get();
  settle();
  EXPECT_EQ(reactor.counters().events.get(), events);
  EXPECT_EQ(right_sink.ends, 1);
}

TEST_P(AnyStream, EndOfBothDirectionsDoesNotSpinTheLoop) {
  left->end_writing();
  right->end_writing();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 1 && left_sink.ends == 1; }));
  settle();
  auto const events = reactor.counters().events.get();
  settle();
  EXPECT_EQ(reactor.counters().events.get(), events);
}

TEST_P(AnyStream, BytesUnreadAtThePeersCloseCanStillBeRead) {
  right->pause_reading();
  auto chain = chain_of("last words");
  ASSERT_TRUE(left->write(chain));
  left->close();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 1; }));
  settle();
  right->resume_reading();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.ends == 2; }));
  EXPECT_EQ(right_sink.bytes, "last words");
}

TEST_P(AnyStream, AbortReachesThePeerAsAnErrorWhereTheTransportHasIt) {
  left->abort();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.error || right_sink.ends > 0; }));
  if (GetParam() == Transport::unix_socket) return;  // it knows no reset
  ASSERT_TRUE(right_sink.error);
  EXPECT_EQ(right_sink.error->code, base::Errc::connection_reset);
  settle();
  EXPECT_EQ(right_sink.ends, 0);
}

TEST_P(AnyStream, AbortIsNoticedWhilePaused) {
  if (GetParam() == Transport::unix_socket) GTEST_SKIP() << "Unix sockets know no reset";
  right->pause_reading();
  reactor.turn(0);
  left->abort();
  ASSERT_TRUE(turn_until(reactor, [&] { return right_sink.error.has_value(); }));
  EXPECT_EQ(right_sink.error->code, base::Errc::connection_reset);
  right->resume_reading();
  settle();
  auto const events = reactor.counters().events.get();
  settle();
  EXPECT_EQ(reactor.counters().events.get(), events);
}

TEST_P(AnyStream, TellsNothingAfterClose) {
  auto chain = chain_of("late");
  ASSERT_TRUE(left->write(chain));
  right->close();
  right->close();
  right->abort();
  settle();
  EXPECT_EQ(right_sink.reads, 0u);
  EXPECT_EQ(right_sink.ends, 0);
  auto rest = chain_of("more");
  EXPECT_FALSE(right->write(rest));
}

TEST_P(AnyStream, MayBeClosedAndDisposedFromItsOwnCallback) {
  right_sink.on_read = [&] {
    right->close();
    reactor.dispose(right.release());
  };
  auto chain = chain_of("x");
  ASSERT_TRUE(left->write(chain));
  ASSERT_TRUE(turn_until(reactor, [&] { return left_sink.ends > 0 || left_sink.error; }));
}

TEST_P(AnyStream, WriteToAPeerThatIsGoneFailsInTheEnd) {
  right->close();
  std::optional<base::Errc> code;
  ASSERT_TRUE(turn_until(reactor, [&] {
    auto chain = chain_of("anyone?");
    if (auto written = left->write(chain); !written) code = written.error().code;
    reactor.post([] {});  // another turn
    return code.has_value();
  }));
  EXPECT_TRUE(code == base::Errc::connection_closed || code == base::Errc::connection_reset);
}

// ---------------------------------------------------------------- what only sockets have

struct OneSocket {
  Reactor reactor;
  Recorder sink;
  testing::SocketPair pair = testing::tcp_pair();
  std::unique_ptr<Stream> stream;
  explicit OneSocket(bool stamp_reads = false)
      : stream(make_socket_stream(reactor, pair.ours.release(), {}, {.stamp_reads = stamp_reads})) {
    stream->start(sink);
  }
};

// The hot path: what one request may cost in system calls.
TEST(SocketStream, RequestAndAnswerCostOneWaitOneReadAndOneWrite) {
  OneSocket s;
  s.sink.on_read = [&] {
    auto chain = chain_of("answer");
    ASSERT_TRUE(s.stream->write(chain));
  };
  testing::send_text(s.pair.peers, "request");
  ASSERT_TRUE(turn_until(s.reactor, [&] { return s.sink.reads == 1; }));
  auto const& counters = s.reactor.counters();
  EXPECT_EQ(counters.waits.get(), 1u);
  EXPECT_EQ(counters.reads.get(), 1u);
  EXPECT_EQ(counters.writes.get(), 1u);
  EXPECT_EQ(counters.partial_writes.get(), 0u);
  EXPECT_EQ(counters.bytes_in.get(), 7u);
  EXPECT_EQ(counters.bytes_out.get(), 6u);
  EXPECT_EQ(testing::receive_text(s.pair.peers, 6), "answer");
}

TEST(SocketStream, DoesNotReadTheClockUnlessAskedTo) {
  OneSocket s(false);
  testing::send_text(s.pair.peers, "x");
  ASSERT_TRUE(turn_until(s.reactor, [&] { return s.sink.reads == 1; }));
  EXPECT_EQ(s.sink.received, 0);
}

TEST(SocketStream, ReadsWhatWaitsWithOneCall) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  Reactor reactor;
  Recorder sink, peer_sink;
  auto const stream = make_socket_stream(reactor, ends[0], {});
  auto const peer = make_socket_stream(reactor, ends[1], {});
  peer->start(peer_sink);
  auto const content = pattern_of(128 * 1024);
  auto chain = chain_of(content);
  ASSERT_TRUE(peer->write(chain));
  ASSERT_TRUE(chain.empty()) << "all of it waits in the kernel";
  stream->start(sink);
  ASSERT_TRUE(turn_until(reactor, [&] { return sink.bytes.size() == content.size(); }));
  EXPECT_EQ(reactor.counters().reads.get(), 1u);
}

TEST(SocketStream, LeavesWhatItsReaderKeepsAlone) {
  OneSocket s;
  auto const content = pattern_of(4 * base::PiecePool::piece_bytes);
  std::vector<base::Bytes> kept;
  s.sink.on_bytes_of = [&](base::ByteView bytes) { kept.push_back(base::ReadPiece::keep(bytes)); };
  std::thread peer([&] { testing::send_text(s.pair.peers, content); });
  EXPECT_TRUE(turn_until(s.reactor, [&] { return s.sink.bytes.size() == content.size(); }));
  peer.join();
  std::string together;
  for (auto const& bytes : kept) together += bytes.view();
  EXPECT_TRUE(together == content);
}

TEST(SocketStream, ReadsMoreThanABufferInSeveralTurns) {
  OneSocket s;
  auto const content = pattern_of(5 * base::PiecePool::piece_bytes + 17);
  std::thread peer([&] { testing::send_text(s.pair.peers, content); });
  EXPECT_TRUE(turn_until(s.reactor, [&] { return s.sink.bytes.size() == content.size(); }));
  peer.join();
  EXPECT_TRUE(s.sink.bytes == content);
  EXPECT_GE(s.sink.reads, 6u);
}

// A server that refuses a request answers and closes over unread bytes: a reset right behind the
// answer.
TEST(SocketStream, ReadsWhatCameBeforeAReset) {
  OneSocket s;
  testing::send_text(s.pair.peers, "413");
  testing::reset(s.pair.peers);
  ASSERT_TRUE(turn_until(s.reactor, [&] { return s.sink.error.has_value(); }));
  EXPECT_EQ(s.sink.bytes, "413");
  EXPECT_EQ(s.sink.error->code, base::Errc::connection_reset);
  EXPECT_EQ(s.sink.ends, 0);
}

TEST(SocketStream, CountsAPartialWriteOnceAndDoesNotAskAgain) {
  OneSocket s;
  auto chain = chain_of(pattern_of(16 * 1024 * 1024));
  ASSERT_TRUE(s.stream->write(chain));
  EXPECT_FALSE(chain.empty());
  EXPECT_EQ(s.reactor.counters().writes.get(), 1u);
  EXPECT_EQ(s.reactor.counters().partial_writes.get(), 1u);
}

TEST(SocketStream, ClosesItsDescriptorAtOnce) {
  OneSocket s;
  s.stream->close();
  EXPECT_EQ(testing::receive_text(s.pair.peers, 1), "");
}

TEST(SocketStream, IsClosedWhenDestroyed) {
  OneSocket s;
  s.stream.reset();
  EXPECT_EQ(testing::receive_text(s.pair.peers, 1), "");
  s.reactor.turn(0);
}

TEST(SocketStream, ClosedByAnotherInTheSameBatchIsNotTold) {
  Reactor reactor;
  auto first = testing::tcp_pair(), second = testing::tcp_pair();
  Recorder a, b;
  auto one = make_socket_stream(reactor, first.ours.release(), {});
  auto two = make_socket_stream(reactor, second.ours.release(), {});
  one->start(a);
  two->start(b);
  a.on_read = [&] { two.reset(); };
  b.on_read = [&] { one.reset(); };
  testing::send_text(first.peers, "x");
  testing::send_text(second.peers, "x");
  ASSERT_TRUE(turn_until(reactor, [&] { return a.reads + b.reads > 0; }));
  EXPECT_EQ(a.reads + b.reads, 1u);
}

TEST(SocketStream, RemembersItsPeer) {
  Reactor reactor;
  auto const peer = *Endpoint::parse("192.0.2.7:4711");
  auto const stream = make_socket_stream(reactor, testing::tcp_pair().ours.release(), peer);
  EXPECT_EQ(stream->peer().to_string(), "192.0.2.7:4711");
}

TEST(MemoryPipe, TakesNoMoreThanItsCapacityUntilItsReaderReads) {
  Reactor reactor;
  auto [left, right] = make_memory_pipe(reactor, 10);
  Recorder left_sink, right_sink;
  left->start(left_sink);
  right->start(right_sink);
  right->pause_reading();
  auto chain = chain_of("0123456789abcdef");
  ASSERT_TRUE(left->write(chain));
  EXPECT_EQ(chain.to_string(), "abcdef");
  for (int i = 0; i < 5; ++i) reactor.turn(0);
  EXPECT_EQ(left_sink.writables, 0);
  right->resume_reading();
  ASSERT_TRUE(turn_until(reactor, [&] { return left_sink.writables == 1; }));
  ASSERT_TRUE(left->write(chain));
  EXPECT_TRUE(turn_until(reactor, [&] { return right_sink.bytes == "0123456789abcdef"; }));
}

TEST(MemoryPipe, EndsMayGoWhileNewsIsOnItsWay) {
  Reactor reactor;
  Recorder sink;
  auto [left, right] = make_memory_pipe(reactor);
  left->start(sink);
  auto chain = chain_of("x");
  ASSERT_TRUE(right->write(chain));
  left.reset();
  right.reset();
  reactor.turn(0);
  EXPECT_EQ(sink.reads, 0u);
}

// A file of this content, opened.
OpenFile file_of(const testing::ScratchFolder& folder, std::string_view content) {
  auto const path = folder.path() + "/file";
  std::ofstream(path, std::ios::binary) << content;
  auto opening = open_file(path.c_str());
  EXPECT_EQ(opening.error, 0);
  return opening.file;
}

TEST_P(AnyStream, SendsSlicesOfFilesBetweenBytes) {
  testing::ScratchFolder const folder;
  auto const content = pattern_of(3'000'000);
  auto const file = file_of(folder, content);
  ByteChain chain;
  chain.append(base::ByteView("head "));
  chain.append(file.slice(5, 2'500'000));
  chain.append(base::ByteView(" between "));
  chain.append(file.slice(2'999'990, 10));
  left_sink.on_room = [&] { ASSERT_TRUE(left->write(chain)); };
  ASSERT_TRUE(left->write(chain));
  auto const expected =
      "head " + content.substr(5, 2'500'000) + " between " + content.substr(2'999'990);
  EXPECT_TRUE(turn_until(reactor, [&] { return right_sink.bytes.size() >= expected.size(); }));
  EXPECT_TRUE(right_sink.bytes == expected);
  EXPECT_TRUE(chain.empty());
}

TEST_P(AnyStream, SaysSoWhereAFileHasBecomeShorter) {
  testing::ScratchFolder const folder;
  auto const file = file_of(folder, pattern_of(100'000));
  ASSERT_EQ(::truncate((folder.path() + "/file").c_str(), 60'000), 0);
  ByteChain chain;
  chain.append(file.slice(0, 100'000));
  std::optional<base::Error> error;
  auto const go_on = [&] {
    if (auto written = left->write(chain); !written) error = written.take_error();
  };
  left_sink.on_room = go_on;
  go_on();
  EXPECT_TRUE(turn_until(reactor, [&] { return error.has_value(); }));
  EXPECT_EQ(error->code, base::Errc::body_length_mismatch);
  settle();
  EXPECT_LE(right_sink.bytes.size(), 60'000U);
  EXPECT_EQ(reactor.counters().files_cut_short.get(), GetParam() == Transport::memory ? 0U : 1U);
}

TEST(SocketStream, SendsAFileInPartsSoThatOthersHaveTheirTurn) {
  Reactor reactor;
  auto pair = testing::tcp_pair();
  auto const stream = make_socket_stream(reactor, pair.ours.release(), {});
  Recorder sink;
  stream->start(sink);
  int const room = 8 << 20;
  ::setsockopt(stream->descriptor(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  testing::ScratchFolder const folder;
  auto const content = pattern_of(3'000'000);
  ByteChain chain;
  chain.append(file_of(folder, content).slice(0, content.size()));
  ASSERT_TRUE(stream->write(chain));
  EXPECT_GE(chain.size(), content.size() - 2 * 1024 * 1024);  // however much the kernel would take
  sink.on_room = [&] { ASSERT_TRUE(stream->write(chain)); };
  std::string got;
  char buffer[65536];
  ::fcntl(pair.peers.get(), F_SETFL, O_NONBLOCK);
  EXPECT_TRUE(turn_until(reactor, [&] {
    for (ssize_t n; (n = ::recv(pair.peers.get(), buffer, sizeof buffer, 0)) > 0;)
      got.append(buffer, static_cast<std::size_t>(n));
    return got.size() >= content.size();
  }));
  EXPECT_TRUE(got == content);
  EXPECT_EQ(reactor.counters().sendfile_bytes.get(), content.size());
  EXPECT_GE(reactor.counters().sendfiles.get(), 2U);
}

}  // namespace
}  // namespace millrace::net
