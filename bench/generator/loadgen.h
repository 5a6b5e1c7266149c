/* WebSocket load generator for the benchmarks: one thread, epoll, busy polling, no library. See loadgen.c. */
#ifndef LOADGEN_H
#define LOADGEN_H

#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#define MAX_SENDS 8
#define MAX_IN_FLIGHT 256
#define MAX_CONNECTIONS 60000
#define MAX_OPENING 64          /* handshakes in progress at a time */
#define PER_ADDRESS 8           /* connections from one loopback address, below a server's own limit per address */
#define BUCKETS 200000          /* latency histogram: 10 us each, the last one takes the rest */
#define BUCKET_US 10

enum { TEXT = 0x1, BINARY = 0x2, CLOSE = 0x8, PING = 0x9, PONG = 0xA };

typedef enum { IS_UNUSED, IS_CONNECTING, IS_HANDSHAKING, IS_OPEN, IS_CLOSING } State;

typedef struct {
    int fd;
    State state;
    uint32_t index;
    int has_epollout;
    uint8_t *rest;              /* the beginning of a frame whose end has not come */
    size_t rest_length, rest_capacity;
    uint8_t *out;               /* what the socket has not taken yet */
    size_t out_start, out_length, out_capacity;
    uint64_t acks;              /* fan-out: subscriptions that were confirmed */
    uint64_t next_n;            /* fan-out: the number expected next; uploads: the frame to send next */
    void *slots;                /* calls and uploads: what is in flight */
} Connection;

/* What a mode does with what arrives; on_close gets 0 when the socket was closed without a close frame. */
typedef struct {
    const char *name;
    void (*run)(void);
    void (*on_open)(Connection *);
    void (*on_message)(Connection *, uint8_t opcode, const uint8_t *, size_t);
    void (*on_close)(Connection *, int code);
    void (*on_writable)(Connection *);
} Mode;

typedef struct {
    const char *host, *path, *ack, *request, *trigger, *topic, *prefix, *suffix, *welcome, *steps;
    const char *sends[MAX_SENDS];
    int send_count, port, connections, in_flight, topics, per_turn, text_length, is_stepwise;
    uint64_t size, max_count, source_base;
    double warmup, seconds, limit, interval;
} Options;

extern Options options;
extern const Mode *mode;
extern Connection *connections;  /* one more than --connections: the last one is the controller of fan-outs */
extern double read_at;           /* when the bytes being looked at were read */
extern double idle_seconds;      /* time spent in polls that found nothing */

extern const Mode fanout_mode, topics_mode, latency_mode, rpc_mode, upload_mode, storm_mode, idle_mode, subscribe_mode;

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
double now(void);
void set_up(void);
void start_connection(Connection *c);
void open_connections(int first, int end);     /* returns when all of them are open */
void drop_connection(Connection *c);
void poll_once(int timeout_ms);
void poll_for(double seconds);
void mark(const char *name);                   /* tells the caller where the run is, and waits for it if stepwise */
int frame_head(uint8_t *target, uint8_t opcode, size_t length);     /* returns the length of the head */
void mask_bytes(uint8_t *target, const uint8_t *source, size_t length, size_t offset);
void queue_frame(Connection *c, uint8_t opcode, const void *payload, size_t length);
void flush_out(Connection *c);
void watch_writable(Connection *c, int is_wanted);
const uint8_t *read_number(const uint8_t *at, const uint8_t *end, uint64_t *value);
int contains(const uint8_t *data, size_t length, const char *text);

void histogram_clear(void);
void histogram_add(double seconds);
uint64_t histogram_count(void);
double histogram_ms(double share);

#endif
