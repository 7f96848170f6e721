// The floor every ratio is taken against: one thread, epoll, one recv and one send per request, no
// parsing to speak of. What it costs is nearly all the kernel's, so a ratio says what a server adds.
//
// usage: raw_loop PORT RESPONSE_BODY_BYTES REQUEST_BODY_BYTES
//        raw_loop PORT echo        plain TCP: what a read brings is sent back
//        raw_loop PORT datagrams   UDP: all that has come is read, and sent back, with one call each
//
// Clients are the suite's own, so it leans on them: a request head arrives in one read, requests
// are not pipelined, a request body is always REQUEST_BODY_BYTES long, an answer fits the socket's
// buffer (a short send closes the connection, which voids the run instead of flattering it).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { max_descriptors = 65536, max_events = 256 };
enum { batch = 32, max_datagram = 2048 };  // datagrams per call: as many as millrace takes

static size_t bytes_missing[max_descriptors];  // of the request under way, per descriptor
static char received[65536];
static char answer[65536];
static size_t answer_size;
static size_t request_body;
static int sends_back;

static int make_socket(int port, int kind) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int const made = socket(AF_INET, kind | SOCK_NONBLOCK, 0);
  int const yes = 1;
  if (kind == SOCK_STREAM) setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(made, (struct sockaddr*)&address, sizeof address) != 0 ||
      (kind == SOCK_STREAM && listen(made, 1024) != 0)) {
    perror("raw_loop: cannot listen");
    exit(1);
  }
  return made;
}

static void watch(int epoll, int descriptor) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
  if (descriptor >= max_descriptors || epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    close(descriptor);
    return;
  }
  bytes_missing[descriptor] = 0;
}

// Whether these bytes end a request. Without request bodies every read is one request.
static int completes_request(int descriptor, size_t size) {
  if (request_body == 0) return 1;
  if (bytes_missing[descriptor] == 0) {
    char const* const blank = memmem(received, size, "\r\n\r\n", 4);
    if (blank == NULL) return 0;
    bytes_missing[descriptor] = (size_t)(blank + 4 - received) + request_body;
  }
  bytes_missing[descriptor] -= size < bytes_missing[descriptor] ? size : bytes_missing[descriptor];
  return bytes_missing[descriptor] == 0;
}

// Whether the client can go on.
static int serve(int descriptor, size_t size) {
  if (sends_back) return send(descriptor, received, size, MSG_NOSIGNAL) == (ssize_t)size;
  if (!completes_request(descriptor, size)) return 1;
  return send(descriptor, answer, answer_size, MSG_NOSIGNAL) == (ssize_t)answer_size;
}

static size_t compose_answer(size_t body) {
  static char const hello[] = "Hello, World!";
  if (body > sizeof answer - 256) exit(2);
  int const head = snprintf(answer, sizeof answer,
                            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                            body);
  memset(answer + head, 'x', body);
  if (body == sizeof hello - 1) memcpy(answer + head, hello, body);
  return (size_t)head + body;
}

static void serve_datagrams(int port) {
  static char bytes[batch][max_datagram];
  static struct sockaddr_in from[batch];
  static struct iovec pieces[batch];
  static struct mmsghdr messages[batch];
  for (int i = 0; i < batch; ++i) {
    pieces[i] = (struct iovec){.iov_base = bytes[i], .iov_len = max_datagram};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i],
                                          .msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  int const descriptor = make_socket(port, SOCK_DGRAM);
  int const epoll = epoll_create1(0);
  watch(epoll, descriptor);
  struct epoll_event event;
  for (;;) {
    epoll_wait(epoll, &event, 1, -1);
    int const count = recvmmsg(descriptor, messages, batch, 0, NULL);
    for (int i = 0; i < count; ++i) pieces[i].iov_len = messages[i].msg_len;
    for (int sent = 0, took = 0; sent < count && took >= 0; sent += took)
      took = sendmmsg(descriptor, messages + sent, (unsigned)(count - sent), 0);
    for (int i = 0; i < count; ++i) {
      pieces[i].iov_len = max_datagram;
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
    }
  }
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[2], "datagrams") == 0) serve_datagrams(atoi(argv[1]));
  sends_back = argc == 3 && strcmp(argv[2], "echo") == 0;
  if (!sends_back) {
    if (argc != 4) return 2;
    answer_size = compose_answer((size_t)atol(argv[2]));
    request_body = (size_t)atol(argv[3]);
  }
  int const listener = make_socket(atoi(argv[1]), SOCK_STREAM);
  int const epoll = epoll_create1(0);
  watch(epoll, listener);
  struct epoll_event events[max_events];
  for (;;) {
    int const count = epoll_wait(epoll, events, max_events, -1);
    for (int i = 0; i < count; ++i) {
      int const descriptor = events[i].data.fd;
      if (descriptor == listener) {
        int const accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (accepted >= 0) watch(epoll, accepted);
        continue;
      }
      ssize_t const size = recv(descriptor, received, sizeof received, 0);
      if (size <= 0 || !serve(descriptor, (size_t)size)) close(descriptor);
    }
  }
}
