/* Calls and uploads: so many in flight on each connection, the next one goes out as soon as one is answered.
 *
 * A call is --request with its number in place of each %lu; the reply must hold "event":"N" and the same number as
 * its data. An upload is a binary frame of --size bytes: 'U', the number in 7 digits, a filler, 'u', the number once
 * more; the answer is a frame of its first and last 8 bytes, so that both ends were unmasked and checked.
 */
#include "loadgen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define EDGE 8

typedef struct {
    uint64_t expected[MAX_IN_FLIGHT];
    double sent_at[MAX_IN_FLIGHT];
} Slots;

typedef struct {
    uint64_t oldest, asked;      /* the next acknowledgement, and how many uploads were begun */
    size_t offset, total;        /* of the frame being written; total 0: none is */
    uint8_t head[14 + EDGE], tail[EDGE];
    int head_length;
    double sent_at[MAX_IN_FLIGHT];
} Upload;

static uint64_t outstanding, done;
static int is_measuring, is_stopping;
static uint8_t *filler;          /* the masked middle that all uploads share */

static void *slots_of(Connection *c, size_t size) {
    if (!c->slots) c->slots = calloc(1, size);
    if (!c->slots) fail("out of memory");
    return c->slots;
}

static void count_answer(double sent_at) {
    outstanding--;
    if (!is_measuring) return;
    histogram_add(read_at - sent_at);
    done++;
}

/* Run the warm-up and the measured time, then wait for what is still out; return the measured seconds. */
static double measure(void) {
    double began;
    poll_for(options.warmup);
    is_measuring = 1;
    idle_seconds = 0;
    began = now();
    poll_for(options.seconds);
    is_measuring = 0;
    began = now() - began;
    idle_seconds /= began;
    is_stopping = 1;
    while (outstanding) poll_once(0);
    return began;
}

static void queue_call(Connection *c, int slot, uint64_t number) {
    Slots *slots = slots_of(c, sizeof *slots);
    char text[480];
    int length = snprintf(text, sizeof text, options.request, (unsigned long)number, (unsigned long)number);
    if (length < 0 || (size_t)length >= sizeof text) fail("the request is too long");
    slots->expected[slot] = number;
    slots->sent_at[slot] = now();
    queue_frame(c, TEXT, text, (size_t)length);
    outstanding++;
}

static void on_reply(Connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
    const uint8_t *end = payload + length, *at = memmem(payload, length, "\"event\":\"", 9);
    Slots *slots = c->slots;
    char wanted[64];
    uint64_t number;
    int slot;
    (void)opcode;
    if (!slots || !at || !contains(payload, length, "\"__rpc\"")) return;
    read_number(at + 9, end, &number);
    slot = (int)(number % (uint64_t)options.in_flight);
    if (slots->expected[slot] != number) fail("reply %lu was not asked for", (unsigned long)number);
    snprintf(wanted, sizeof wanted, "\"ok\":true,\"data\":%lu}", (unsigned long)number);
    if (!contains(payload, length, wanted)) fail("not the reply to %lu: %.*s", (unsigned long)number, (int)length, (const char *)payload);
    count_answer(slots->sent_at[slot]);
    slots->expected[slot] = UINT64_MAX;
    if (!is_stopping) queue_call(c, slot, number + (uint64_t)options.in_flight);
}

static void run_rpc(void) {
    double seconds;
    if (!options.request) fail("--request is needed");
    open_connections(0, options.connections);
    for (int i = 0; i < options.connections; i++) {
        for (int slot = 0; slot < options.in_flight; slot++)
            queue_call(&connections[i], slot, (uint64_t)(options.in_flight + slot));
        flush_out(&connections[i]);
    }
    seconds = measure();
    printf("{\"calls\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"generator_idle\": %.3f}\n",
           (unsigned long)done, seconds, (double)done / seconds, histogram_ms(0.50), histogram_ms(0.99), idle_seconds);
}

static void put_edge(uint8_t *edge, char letter, uint64_t number) {
    char text[EDGE + 1];
    snprintf(text, sizeof text, "%c%07u", letter, (unsigned)(number % 10000000));
    memcpy(edge, text, EDGE);
}

static void begin_upload(Connection *c, Upload *upload) {
    uint8_t edge[EDGE];
    upload->head_length = frame_head(upload->head, BINARY, options.size);
    put_edge(edge, 'U', upload->asked);
    mask_bytes(upload->head + upload->head_length, edge, EDGE, 0);
    put_edge(edge, 'u', upload->asked);
    mask_bytes(upload->tail, edge, EDGE, options.size - EDGE);
    upload->head_length += EDGE;
    upload->offset = 0;
    upload->total = (size_t)upload->head_length + options.size - EDGE;
    upload->sent_at[upload->asked % (uint64_t)options.in_flight] = now();
    upload->asked++;
    outstanding++;
    (void)c;
}

/* Write what the socket takes of the upload in progress and of further ones, up to --in-flight. */
static void write_uploads(Connection *c) {
    Upload *upload = slots_of(c, sizeof *upload);
    for (;;) {
        struct iovec parts[3];
        int count = 0;
        size_t middle = options.size - 2 * EDGE, skip;
        ssize_t written;
        if (!upload->total) {
            if (is_stopping || upload->asked - upload->oldest >= (uint64_t)options.in_flight) break;
            begin_upload(c, upload);
        }
        skip = upload->offset;
        const uint8_t *bases[3] = {upload->head, filler, upload->tail};
        const size_t lengths[3] = {(size_t)upload->head_length, middle, EDGE};
        for (int i = 0; i < 3; i++) {
            size_t gone = skip < lengths[i] ? skip : lengths[i];
            skip -= gone;
            if (gone == lengths[i]) continue;
            parts[count].iov_base = (void *)(bases[i] + gone);
            parts[count++].iov_len = lengths[i] - gone;
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        written = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) fail("sendmsg: %s", strerror(errno));
            watch_writable(c, 1);
            return;
        }
        upload->offset += (size_t)written;
        if (upload->offset == upload->total) upload->total = 0;
    }
    watch_writable(c, 0);
}

static void on_acknowledged(Connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
    Upload *upload = c->slots;
    uint8_t wanted[2 * EDGE];
    (void)opcode;
    if (length && payload[0] == '{') return; /* the greeting */
    if (!upload || upload->oldest == upload->asked) fail("an acknowledgement that nobody waits for");
    put_edge(wanted, 'U', upload->oldest);
    put_edge(wanted + EDGE, 'u', upload->oldest);
    if (length != sizeof wanted || memcmp(payload, wanted, sizeof wanted))
        fail("not the acknowledgement of upload %lu (%zu bytes)", (unsigned long)upload->oldest, length);
    count_answer(upload->sent_at[upload->oldest % (uint64_t)options.in_flight]);
    upload->oldest++;
    write_uploads(c);
}

static void run_upload(void) {
    double seconds;
    size_t middle = options.size - 2 * EDGE;
    uint8_t *plain;
    if (options.size < 126 || options.size > (1u << 20)) fail("--size is 126 to 1048576");
    filler = malloc(middle);
    plain = malloc(middle);
    if (!filler || !plain) fail("out of memory");
    for (size_t i = 0; i < middle; i++) plain[i] = (uint8_t)(i * 31 + 7);
    mask_bytes(filler, plain, middle, EDGE);
    free(plain);
    open_connections(0, options.connections);
    for (int i = 0; i < options.connections; i++) write_uploads(&connections[i]);
    seconds = measure();
    printf("{\"uploads\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"mb_per_second\": %.2f, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"generator_idle\": %.3f}\n",
           (unsigned long)done, seconds, (double)done / seconds, (double)done * (double)options.size / seconds / 1e6,
           histogram_ms(0.50), histogram_ms(0.99), idle_seconds);
}

const Mode rpc_mode = {"rpc", run_rpc, NULL, on_reply, NULL, NULL};
const Mode upload_mode = {"upload", run_upload, NULL, on_acknowledged, NULL, write_uploads};
