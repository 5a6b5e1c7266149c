/* WebSocket load generator for the benchmarks: one thread, epoll, busy polling, no library.
 *
 *   loadgen fanout --port P [--path /ws] --connections N --send FRAME... --ack TEXT --trigger FRAME --count K
 *   loadgen rpc    --port P [--path /ws] --connections N --in-flight D --request FORMAT --warmup S --seconds S
 *
 * fanout opens N subscribers and one controller, sends every --send frame on each subscriber and waits for a frame
 * that holds --ack. Then the controller sends --trigger (several are run one after another, the last one is
 * measured); the server is expected to deliver "n":0 to "n":K-1 to each subscriber, in order and without a hole.
 *
 * rpc keeps D requests in flight on each of N connections. FORMAT holds %lu twice: the id and the argument. The id
 * is looked for in the reply as "event":"ID".
 *
 * Both print one JSON object. Anything missing, repeated or out of order, a closed connection and the deadline end
 * the program with status 1 and a message. Frames are masked with a zero key: the server's work is the same.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SENDS 8
#define MAX_IN_FLIGHT 256
#define FIRST_CAPACITY 16384
#define MAX_FRAME (16u << 20)
#define BUCKETS 65536 /* latency histogram: 10 us each, the last one takes the rest */
#define BUCKET_US 10

typedef struct {
    int fd;
    uint8_t *data;
    size_t start, end, capacity;
    uint64_t next_n;                     /* fanout: the number expected next */
    int is_acked;                        /* fanout: the subscription is confirmed */
    uint64_t expected[MAX_IN_FLIGHT];    /* rpc: the id each slot waits for */
    double sent_at[MAX_IN_FLIGHT];       /* rpc: when it was asked */
    char *out;                           /* requests of one read, sent together */
    size_t out_length;
} Connection;

static const char *host = "127.0.0.1", *path = "/ws", *ack = "subscribed", *request_format;
static const char *sends[MAX_SENDS], *triggers[MAX_SENDS];
static int send_count, trigger_count, port, connection_count = 1, in_flight = 1;
static uint64_t count = 1;
static double warmup = 0.5, seconds = 1.5, limit = 60;
static double deadline;
static Connection *connections;
static int poller;
static uint64_t arrived, acked, outstanding, calls, histogram[BUCKETS];
static int is_measuring, is_stopping;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "loadgen: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void write_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t written = send(fd, data, length, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno != EAGAIN && errno != EINTR) fail("send: %s", strerror(errno));
            if (now() > deadline) fail("the server does not read");
            continue;
        }
        data += written;
        length -= (size_t)written;
    }
}

/* Client text frame: FIN+opcode, mask bit + length (7 bits, or 126 and 16 bits), four zero bytes of mask, payload. */
static size_t put_frame(char *target, uint8_t opcode, const char *text, size_t length) {
    size_t at = 0;
    target[at++] = (char)(0x80 | opcode);
    if (length < 126) {
        target[at++] = (char)(0x80 | length);
    } else {
        target[at++] = (char)(0x80 | 126);
        target[at++] = (char)(length >> 8);
        target[at++] = (char)length;
    }
    memset(target + at, 0, 4);
    at += 4;
    memcpy(target + at, text, length);
    return at + length;
}

static void send_frame(int fd, uint8_t opcode, const char *text, size_t length) {
    char frame[65536 + 16];
    if (length > 65535) fail("a frame of %zu bytes is too long", length);
    write_all(fd, frame, put_frame(frame, opcode, text, length));
}

static void open_connection(Connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char request[1024];
    int on = 1, length;
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("bad address %s", host);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) fail("socket: %s (raise the limit of open files)", strerror(errno));
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    length = snprintf(request, sizeof request,
                      "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                      "Origin: http://%s:%d\r\n\r\n",
                      path, host, port, host, port);
    write_all(c->fd, request, (size_t)length);
    c->capacity = FIRST_CAPACITY;
    c->data = malloc(c->capacity);
    c->out = malloc((size_t)MAX_IN_FLIGHT * 512);
    if (!c->data || !c->out) fail("out of memory");
    for (;;) { /* the head of the answer; what follows it stays in the buffer */
        ssize_t got = recv(c->fd, c->data + c->end, c->capacity - c->end, 0);
        uint8_t *head;
        if (got <= 0) fail("the server closed during the handshake");
        c->end += (size_t)got;
        head = memmem(c->data, c->end, "\r\n\r\n", 4);
        if (head) {
            if (memcmp(c->data, "HTTP/1.1 101", 12)) fail("handshake refused: %.12s", (char *)c->data);
            c->start = (size_t)(head - c->data) + 4;
            break;
        }
        if (c->end == c->capacity) fail("the head of the handshake is too long");
    }
    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

static uint64_t read_number(const uint8_t *at, const uint8_t *end) {
    uint64_t value = 0;
    while (at < end && *at >= '0' && *at <= '9') value = value * 10 + (*at++ - '0');
    return value;
}

static void queue_request(Connection *c, int slot, uint64_t id) {
    char text[480];
    int length = snprintf(text, sizeof text, request_format, (unsigned long)id, (unsigned long)id);
    if (length < 0 || (size_t)length >= sizeof text) fail("the request is too long");
    c->expected[slot] = id;
    c->sent_at[slot] = now();
    c->out_length += put_frame(c->out + c->out_length, 1, text, (size_t)length);
    outstanding++;
}

static void on_fanout_frame(Connection *c, const uint8_t *payload, size_t length) {
    const uint8_t *at = payload, *end = payload + length;
    if (!c->is_acked) {
        if (memmem(payload, length, ack, strlen(ack))) {
            c->is_acked = 1;
            acked++;
        }
        return;
    }
    while ((at = memmem(at, (size_t)(end - at), "\"n\":", 4))) {
        uint64_t n = read_number(at + 4, end);
        if (n != c->next_n) fail("expected number %lu, got %lu", (unsigned long)c->next_n, (unsigned long)n);
        c->next_n++;
        arrived++;
        at += 4;
    }
}

static void on_rpc_frame(Connection *c, const uint8_t *payload, size_t length) {
    const uint8_t *at = memmem(payload, length, "\"event\":\"", 9);
    uint64_t id;
    int slot;
    if (!at || !memmem(payload, length, "\"__rpc\"", 7)) return;
    id = read_number(at + 9, payload + length);
    slot = (int)(id % (uint64_t)in_flight);
    if (c->expected[slot] != id) fail("reply %lu was not asked for", (unsigned long)id);
    if (memmem(payload, length, "\"ok\":false", 10)) fail("the call failed: %.*s", (int)length, (char *)payload);
    outstanding--;
    if (is_measuring) {
        uint64_t bucket = (uint64_t)((now() - c->sent_at[slot]) * 1e6 / BUCKET_US);
        histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
        calls++;
    }
    c->expected[slot] = UINT64_MAX;
    if (!is_stopping) queue_request(c, slot, id + (uint64_t)in_flight);
}

static void (*on_frame)(Connection *, const uint8_t *, size_t);

static void parse(Connection *c) {
    for (;;) {
        uint8_t *at = c->data + c->start;
        size_t have = c->end - c->start, head = 2, length;
        if (have < 2) break;
        length = at[1] & 0x7f;
        if (at[1] & 0x80) fail("the server masked a frame");
        if (length == 126) {
            head = 4;
            if (have < head) break;
            length = (size_t)at[2] << 8 | at[3];
        } else if (length == 127) {
            head = 10;
            if (have < head) break;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | at[i];
        }
        if (length > MAX_FRAME) fail("a frame of %zu bytes", length);
        if (have < head + length) {
            if (head + length > c->capacity) {
                c->capacity = (head + length) * 2;
                c->data = realloc(c->data, c->capacity);
                if (!c->data) fail("out of memory");
            }
            break;
        }
        switch (at[0] & 0x0f) {
        case 0x1: on_frame(c, at + head, length); break;
        case 0x8: fail("closed by the server with %d", length >= 2 ? at[head] << 8 | at[head + 1] : 0);
        case 0x9: send_frame(c->fd, 0xA, (char *)at + head, length); break;
        default: break;
        }
        c->start += head + length;
    }
    if (c->start == c->end) {
        c->start = c->end = 0;
    } else if (c->start) {
        memmove(c->data, c->data + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    if (c->out_length) {
        write_all(c->fd, c->out, c->out_length);
        c->out_length = 0;
    }
}

static void poll_once(void) {
    struct epoll_event events[512];
    int ready = epoll_wait(poller, events, 512, 0);
    for (int i = 0; i < ready; i++) {
        Connection *c = events[i].data.ptr;
        ssize_t got = recv(c->fd, c->data + c->end, c->capacity - c->end, 0);
        if (got == 0) fail("the server closed a connection");
        if (got < 0) {
            if (errno == EAGAIN || errno == EINTR) continue;
            fail("recv: %s", strerror(errno));
        }
        c->end += (size_t)got;
        parse(c);
    }
    if (now() > deadline)
        fail("not finished after %.0f s: %lu arrived, %lu acknowledged, %lu outstanding", limit,
             (unsigned long)arrived, (unsigned long)acked, (unsigned long)outstanding);
}

static void run_fanout(void) {
    Connection *controller = &connections[connection_count];
    double started = now(), connected, began = 0, ended = 0;
    on_frame = on_fanout_frame;
    for (int i = 0; i <= connection_count; i++) {
        open_connection(&connections[i]);
        for (int s = 0; s < send_count && i < connection_count; s++)
            send_frame(connections[i].fd, 1, sends[s], strlen(sends[s]));
        poll_once();
        parse(&connections[i]);
    }
    connected = now();
    controller->next_n = UINT64_MAX; /* it holds no subscription */
    while (acked < (uint64_t)connection_count) poll_once();
    for (int t = 0; t < trigger_count; t++) {
        for (int i = 0; i < connection_count; i++) connections[i].next_n = 0;
        arrived = 0;
        began = now();
        send_frame(controller->fd, 1, triggers[t], strlen(triggers[t]));
        while (arrived < count * (uint64_t)connection_count) poll_once();
        ended = now();
    }
    for (double until = now() + 0.05; now() < until;) poll_once(); /* nothing may follow */
    if (arrived != count * (uint64_t)connection_count) fail("%lu events too many", (unsigned long)arrived);
    printf("{\"deliveries\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"connects_per_second\": %.1f}\n",
           (unsigned long)arrived, ended - began, (double)arrived / (ended - began),
           (connection_count + 1) / (connected - started));
}

static double quantile(double share) {
    uint64_t wanted = (uint64_t)((double)calls * share), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted) return (i + 0.5) * BUCKET_US / 1000.0;
    }
    return BUCKETS * BUCKET_US / 1000.0;
}

static void run_rpc(void) {
    double began, until;
    on_frame = on_rpc_frame;
    for (int i = 0; i < connection_count; i++) {
        open_connection(&connections[i]);
        parse(&connections[i]);
    }
    for (int i = 0; i < connection_count; i++) {
        for (int slot = 0; slot < in_flight; slot++) queue_request(&connections[i], slot, (uint64_t)(in_flight + slot));
        write_all(connections[i].fd, connections[i].out, connections[i].out_length);
        connections[i].out_length = 0;
    }
    for (until = now() + warmup; now() < until;) poll_once();
    is_measuring = 1;
    began = now();
    for (until = began + seconds; now() < until;) poll_once();
    is_measuring = 0;
    until = now() - began;
    is_stopping = 1;
    while (outstanding) poll_once();
    printf("{\"calls\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
           (unsigned long)calls, until, (double)calls / until, quantile(0.50), quantile(0.99));
}

int main(int argc, char **argv) {
    if (argc < 2) fail("which mode: fanout or rpc");
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--path")) path = value;
        else if (!strcmp(name, "--connections")) connection_count = atoi(value);
        else if (!strcmp(name, "--in-flight")) in_flight = atoi(value);
        else if (!strcmp(name, "--count")) count = strtoul(value, NULL, 10);
        else if (!strcmp(name, "--ack")) ack = value;
        else if (!strcmp(name, "--request")) request_format = value;
        else if (!strcmp(name, "--warmup")) warmup = atof(value);
        else if (!strcmp(name, "--seconds")) seconds = atof(value);
        else if (!strcmp(name, "--limit")) limit = atof(value);
        else if (!strcmp(name, "--send") && send_count < MAX_SENDS) sends[send_count++] = value;
        else if (!strcmp(name, "--trigger") && trigger_count < MAX_SENDS) triggers[trigger_count++] = value;
        else fail("unknown option %s", name);
    }
    if (port <= 0 || connection_count < 1 || connection_count > 20000) fail("bad --port or --connections");
    if (in_flight < 1 || in_flight > MAX_IN_FLIGHT) fail("--in-flight is 1 to %d", MAX_IN_FLIGHT);
    deadline = now() + limit;
    poller = epoll_create1(0);
    connections = calloc((size_t)connection_count + 1, sizeof *connections);
    if (poller < 0 || !connections) fail("out of memory");
    if (!strcmp(argv[1], "fanout") && trigger_count) run_fanout();
    else if (!strcmp(argv[1], "rpc") && request_format) run_rpc();
    else fail("fanout needs --trigger, rpc needs --request");
    return 0;
}
