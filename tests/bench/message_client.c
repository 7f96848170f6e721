// The load of the plain TCP and UDP rows: on each connection one message at a time is sent, its echo
// awaited and compared. One thread, epoll, a system call to send and one to receive, as wrk has it.
//
// usage: message_client PORT CONNECTIONS MESSAGE_BYTES SECONDS tcp|udp
//
// A datagram whose echo does not come for a second counts as lost (a timeout), and another is sent.
// Prints what lua/request.lua prints for wrk; a wrong echo counts as a wrong status.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { max_connections = 1024, max_message = 65536, max_events = 256, max_latency_us = 1000000 };
enum { lost_after_us = 1000000, sweep_every_us = 100000 };

struct connection {
  int descriptor;
  size_t received;
  long sent_at_us;
};

static struct connection connections[max_connections];
static char message[max_message];
static char echo[max_message];
static size_t message_bytes;
static unsigned long round_trips[max_latency_us + 1];  // how many took so many microseconds
static unsigned long requests, connect_errors, read_errors, write_errors, wrong, lost;
static int is_udp;

static long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static void send_message(struct connection* one) {
  one->received = 0;
  one->sent_at_us = now_us();
  if (send(one->descriptor, message, message_bytes, MSG_NOSIGNAL) != (ssize_t)message_bytes)
    ++write_errors;
}

static void open_connection(int epoll, struct connection* one, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
  int const yes = 1;
  one->descriptor = socket(AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0);
  if (connect(one->descriptor, (struct sockaddr*)&address, sizeof address) != 0 ||
      (!is_udp && setsockopt(one->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) ||
      epoll_ctl(epoll, EPOLL_CTL_ADD, one->descriptor, &event) != 0) {
    ++connect_errors;
    return;
  }
  send_message(one);
}

static void receive(struct connection* one) {
  ssize_t const size = recv(one->descriptor, echo, message_bytes - one->received, 0);
  if (size <= 0) {
    ++read_errors;
    close(one->descriptor);
    return;
  }
  if (memcmp(echo, message + one->received, (size_t)size) != 0) ++wrong;
  if (is_udp && (size_t)size != message_bytes) ++wrong;
  one->received += (size_t)size;
  if (one->received < message_bytes) return;
  long const took = now_us() - one->sent_at_us;
  ++round_trips[took < max_latency_us ? took : max_latency_us];
  ++requests;
  send_message(one);
}

static void resend_what_was_lost(int count) {
  long const now = now_us();
  for (int i = 0; i < count; ++i)
    if (now - connections[i].sent_at_us > lost_after_us) {
      ++lost;
      send_message(&connections[i]);
    }
}

static long percentile_us(unsigned percent) {
  unsigned long seen = 0;
  long us = 0;
  while (us < max_latency_us && (seen += round_trips[us]) * 100 < requests * percent) ++us;
  return us;
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  is_udp = strcmp(argv[5], "udp") == 0;
  int const count = atoi(argv[2]);
  message_bytes = (size_t)atol(argv[3]);
  if (count < 1 || count > max_connections || message_bytes < 1 || message_bytes > max_message)
    return 2;
  for (size_t i = 0; i < message_bytes; ++i) message[i] = (char)('a' + i % 26);
  int const epoll = epoll_create1(0);
  long const begun = now_us();
  long const end = begun + atol(argv[4]) * 1000000L;
  for (int i = 0; i < count; ++i) open_connection(epoll, &connections[i], atoi(argv[1]));
  struct epoll_event events[max_events];
  long next_sweep = begun + sweep_every_us;
  for (long now = begun; now < end; now = now_us()) {
    int const ready = epoll_wait(epoll, events, max_events, 100);
    for (int i = 0; i < ready; ++i) receive(events[i].data.ptr);
    if (!is_udp || now < next_sweep) continue;
    resend_what_was_lost(count);
    next_sweep = now + sweep_every_us;
  }
  printf("{\"requests\": %lu, \"duration_us\": %ld, \"bytes\": %lu, \"p50_us\": %ld, "
         "\"p99_us\": %ld, \"connect\": %lu, \"read\": %lu, \"write\": %lu, \"status\": %lu, "
         "\"timeout\": %lu}\n",
         requests, now_us() - begun, requests * message_bytes, percentile_us(50),
         percentile_us(99), connect_errors, read_errors, write_errors, wrong, lost);
  return 0;
}
