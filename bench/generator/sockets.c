/* Connections, frames and the poll loop of the load generator. */
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define READ_SIZE (256u << 10)
#define MAX_FRAME (2u << 20)
#define ARENA (MAX_FRAME + READ_SIZE + 64)
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="          /* the example of RFC 6455, and the answer to it */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

Connection *connections;
double read_at, idle_seconds;
static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
static uint8_t arena[ARENA];     /* every read lands here, so that it stays in the cache of the core */
static int poller;
static double deadline;
static uint64_t opened;          /* connections begun so far, for the choice of the address */
static int opening;              /* handshakes in progress */
static uint32_t histogram[BUCKETS];
static uint64_t samples;

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "loadgen: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *need(void *memory) {
    if (!memory) fail("out of memory");
    return memory;
}

void set_up(void) {
    struct rlimit files;
    uint64_t wanted = (uint64_t)options.connections + 16;
    if (getrlimit(RLIMIT_NOFILE, &files)) fail("getrlimit: %s", strerror(errno));
    if (files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_cur < wanted)
            fail("%lu descriptors are needed, the limit is %lu (ulimit -n)", (unsigned long)wanted,
                 (unsigned long)files.rlim_cur);
    }
    deadline = now() + options.limit;
    poller = epoll_create1(0);
    if (poller < 0) fail("epoll_create1: %s", strerror(errno));
    connections = need(calloc((size_t)options.connections + 1, sizeof *connections));
    for (int i = 0; i <= options.connections; i++) connections[i].index = (uint32_t)i;
}

void watch_writable(Connection *c, int is_wanted) {
    struct epoll_event event = {.events = is_wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (c->has_epollout == is_wanted) return;
    c->has_epollout = is_wanted;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

/* Client frame head: FIN+opcode, mask bit + length (7 bits; 126 and 16 bits; 127 and 64 bits), four bytes of mask. */
int frame_head(uint8_t *target, uint8_t opcode, size_t length) {
    int at = 0;
    target[at++] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        target[at++] = (uint8_t)(0x80 | length);
    } else if (length < 65536) {
        target[at++] = 0x80 | 126;
        target[at++] = (uint8_t)(length >> 8);
        target[at++] = (uint8_t)length;
    } else {
        target[at++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) target[at++] = (uint8_t)((uint64_t)length >> shift);
    }
    memcpy(target + at, mask, 4);
    return at + 4;
}

void mask_bytes(uint8_t *target, const uint8_t *source, size_t length, size_t offset) {
    for (size_t i = 0; i < length; i++) target[i] = source[i] ^ mask[(offset + i) & 3];
}

static uint8_t *room_out(Connection *c, size_t length) {
    if (c->out_length + length > c->out_capacity) {
        c->out_capacity = (c->out_length + length) * 2;
        c->out = need(realloc(c->out, c->out_capacity));
    }
    return c->out + c->out_length;
}

void queue_frame(Connection *c, uint8_t opcode, const void *payload, size_t length) {
    uint8_t *target = room_out(c, length + 14);
    int head = frame_head(target, opcode, length);
    mask_bytes(target + head, payload, length, 0);
    c->out_length += (size_t)head + length;
}

void flush_out(Connection *c) {
    while (c->out_start < c->out_length) {
        ssize_t written = send(c->fd, c->out + c->out_start, c->out_length - c->out_start, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EINTR) continue;
            if (errno == EPIPE || errno == ECONNRESET) break; /* the read that follows says the same */
            if (errno != EAGAIN) fail("send: %s", strerror(errno));
            watch_writable(c, 1);
            return;
        }
        c->out_start += (size_t)written;
    }
    c->out_start = c->out_length = 0;
    if (!mode->on_writable) watch_writable(c, 0);
}

/* Connect from 127.x.y.z, so that neither ports nor a limit per address run out; the port is chosen by the kernel. */
void start_connection(Connection *c) {
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    struct sockaddr_in source = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    uint64_t address = options.source_base + opened++ / PER_ADDRESS;
    int on = 1;
    if (inet_pton(AF_INET, options.host, &target.sin_addr) != 1) fail("bad address %s", options.host);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    source.sin_addr.s_addr = htonl((127u << 24) | (uint32_t)((1 + address / 62500 % 200) << 16) |
                                   (uint32_t)((1 + address / 250 % 250) << 8) | (uint32_t)(1 + address % 250));
    if (bind(c->fd, (struct sockaddr *)&source, sizeof source)) fail("bind: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    c->state = IS_CONNECTING;
    c->has_epollout = 1;
    c->rest_length = c->out_start = c->out_length = 0;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
    opening++;
}

static void shake_hands(Connection *c) {
    char request[1024];
    int problem = 0, length;
    socklen_t size = sizeof problem;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem) fail("connect: %s", strerror(problem));
    length = snprintf(request, sizeof request,
                      "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\nOrigin: http://%s:%d\r\n\r\n",
                      options.path, options.host, options.port, options.host, options.port);
    if (send(c->fd, request, (size_t)length, MSG_NOSIGNAL) != length) fail("the handshake was not taken");
    c->state = IS_HANDSHAKING;
    watch_writable(c, 0);
}

/* Return the length of the complete head of the answer, 0 if its end has not come. */
static size_t handshake_length(const uint8_t *data, size_t length) {
    const uint8_t *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) {
        if (length > 16384) fail("the head of the handshake is too long");
        return 0;
    }
    if (length < 12 || memcmp(data, "HTTP/1.1 101", 12)) fail("handshake refused: %.12s", (const char *)data);
    if (!memmem(data, (size_t)(end - data), ACCEPT, strlen(ACCEPT))) fail("the handshake has a wrong key");
    return (size_t)(end - data) + 4;
}

void drop_connection(Connection *c) {
    close(c->fd);
    c->state = IS_UNUSED;
}

static void closed(Connection *c, int code) {
    if (c->state == IS_HANDSHAKING || c->state == IS_CONNECTING) fail("the server closed during the handshake");
    if (!mode->on_close) {
        if (code) fail("closed by the server with %d", code);
        fail("the server closed a connection");
    }
    mode->on_close(c, code);
}

/* Hand on the complete frames in data; return how many bytes they take, -1 when the connection is gone. */
static ssize_t parse(Connection *c, const uint8_t *data, size_t length) {
    size_t start = 0;
    for (;;) {
        const uint8_t *at = data + start;
        size_t have = length - start, head = 2, size;
        uint8_t opcode;
        if (have < 2) break;
        size = at[1] & 0x7f;
        opcode = at[0] & 0x0f;
        if (at[1] & 0x80) fail("the server masked a frame");
        if (!(at[0] & 0x80)) fail("the server fragmented a message");
        if (at[0] & 0x70) fail("the server set reserved bits");
        if (size == 126) {
            head = 4;
            if (have < head) break;
            size = (size_t)at[2] << 8 | at[3];
        } else if (size == 127) {
            head = 10;
            if (have < head) break;
            size = 0;
            for (int i = 2; i < 10; i++) size = size << 8 | at[i];
        }
        if (size > MAX_FRAME) fail("a frame of %zu bytes", size);
        if (have < head + size) break;
        start += head + size;
        if (opcode == TEXT || opcode == BINARY) {
            mode->on_message(c, opcode, at + head, size);
        } else if (opcode == PING) {
            queue_frame(c, PONG, at + head, size);
        } else if (opcode == CLOSE) {
            closed(c, size >= 2 ? at[head] << 8 | at[head + 1] : 1005);
            return -1;
        }
        if (c->state == IS_UNUSED || c->state == IS_CONNECTING) return -1;
    }
    return (ssize_t)start;
}

static void receive(Connection *c) {
    size_t have = c->rest_length;
    ssize_t used = 0, got;
    got = recv(c->fd, arena + have, READ_SIZE, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        if (errno != ECONNRESET) fail("recv: %s", strerror(errno));
        got = 0;
    }
    if (got == 0) {
        closed(c, 0);
        return;
    }
    read_at = now();
    if (have) memcpy(arena, c->rest, have);
    have += (size_t)got;
    if (c->state == IS_HANDSHAKING) {
        used = (ssize_t)handshake_length(arena, have);
        if (used) {
            c->state = IS_OPEN;
            opening--;
            if (mode->on_open) mode->on_open(c);
        }
    }
    if (c->state == IS_OPEN || c->state == IS_CLOSING) {
        ssize_t more = parse(c, arena + used, have - (size_t)used);
        if (more < 0) return;
        used += more;
    }
    c->rest_length = have - (size_t)used;
    if (c->rest_length) {
        if (c->rest_length > c->rest_capacity) {
            c->rest_capacity = c->rest_length * 2;
            c->rest = need(realloc(c->rest, c->rest_capacity));
        }
        memcpy(c->rest, arena + used, c->rest_length);
    }
    if (c->out_length) flush_out(c);
}

void poll_once(int timeout_ms) {
    static struct epoll_event events[512];
    static double last;
    int ready = epoll_wait(poller, events, 512, timeout_ms);
    double at = now();
    if (ready <= 0 && last) idle_seconds += at - last;
    last = at;
    for (int i = 0; i < ready; i++) {
        Connection *c = events[i].data.ptr;
        if (c->state == IS_CONNECTING) {
            shake_hands(c);
            continue;
        }
        if (events[i].events & EPOLLOUT) {
            flush_out(c);
            if (mode->on_writable) mode->on_writable(c);
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    }
    if (ready > 0) last = now();
    if (last > deadline) fail("not finished after %.0f s", options.limit);
}

void poll_for(double seconds) {
    for (double until = now() + seconds; now() < until;) poll_once(0);
}

void open_connections(int first, int end) {
    int next = first;
    while (next < end || opening) {
        while (next < end && opening < MAX_OPENING) start_connection(&connections[next++]);
        poll_once(0);
    }
}

void mark(const char *name) {
    char answer;
    printf("# %s\n", name);
    fflush(stdout);
    if (!options.is_stepwise) return;
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    for (;;) {
        ssize_t got = read(0, &answer, 1);
        if (got == 0) fail("nobody answers the mark %s", name);
        if (got == 1 && answer == '\n') return;
        if (got < 0 && errno != EAGAIN && errno != EINTR) fail("read: %s", strerror(errno));
        poll_once(1);
    }
}

const uint8_t *read_number(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    uint64_t found = 0;
    while (at < end && *at >= '0' && *at <= '9') found = found * 10 + (uint64_t)(*at++ - '0');
    *value = found;
    return at;
}

int contains(const uint8_t *data, size_t length, const char *text) {
    return memmem(data, length, text, strlen(text)) != NULL;
}

void histogram_clear(void) {
    memset(histogram, 0, sizeof histogram);
    samples = 0;
}

void histogram_add(double seconds) {
    double bucket = seconds * 1e6 / BUCKET_US;
    histogram[bucket < 0 ? 0 : bucket < BUCKETS ? (size_t)bucket : BUCKETS - 1]++;
    samples++;
}

uint64_t histogram_count(void) { return samples; }

double histogram_ms(double share) {
    uint64_t wanted = (uint64_t)((double)samples * share), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted) return (i + 0.5) * BUCKET_US / 1000.0;
    }
    return BUCKETS * BUCKET_US / 1000.0;
}
