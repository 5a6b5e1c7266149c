/* Connections themselves: how fast they come and go, and what they cost while nothing happens on them. */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORMAL_CLOSE "\x03\xe8" /* 1000 */

static uint64_t done, welcomed;
static int is_measuring, is_stopping, running;
static double began_all;         /* subscribe: when all of them asked */
static double *began;            /* storm: when the connection in each place was begun */

static void begin(Connection *c) {
    began[c->index] = now();
    running++;
    start_connection(c);
}

static void on_storm_message(Connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
    (void)opcode;
    if (c->state != IS_OPEN) return;
    if (!contains(payload, length, options.welcome))
        fail("the first frame is no welcome: %.*s", (int)(length < 200 ? length : 200), (const char *)payload);
    queue_frame(c, CLOSE, NORMAL_CLOSE, 2);
    c->state = IS_CLOSING;
}

static void on_storm_close(Connection *c, int code) {
    if (c->state != IS_CLOSING) fail("closed with %d before the welcome", code);
    if (code && code != 1000 && code != 1005) fail("the answer to the close has code %d", code);
    drop_connection(c);
    running--;
    if (is_measuring) {
        histogram_add(read_at - began[c->index]);
        done++;
    }
    if (!is_stopping) begin(c);
}

/* Keep --connections of them between connect and close all the time. */
static void run_storm(void) {
    double start;
    if (options.connections > MAX_OPENING) fail("a storm has at most %d connections at a time", MAX_OPENING);
    began = calloc((size_t)options.connections, sizeof *began);
    if (!began) fail("out of memory");
    for (int i = 0; i < options.connections; i++) begin(&connections[i]);
    poll_for(options.warmup);
    is_measuring = 1;
    idle_seconds = 0;
    start = now();
    poll_for(options.seconds);
    is_measuring = 0;
    start = now() - start;
    idle_seconds /= start;
    is_stopping = 1;
    while (running) poll_once(0);
    printf("{\"connections\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"generator_idle\": %.3f}\n",
           (unsigned long)done, start, (double)done / start, histogram_ms(0.50), histogram_ms(0.99), idle_seconds);
}

static void on_idle_message(Connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
    (void)opcode;
    if (!c->acks && contains(payload, length, options.welcome)) {
        c->acks = 1;
        welcomed++;
    }
}

/* Open as many as each of --steps says, with a mark at each; then stay for --seconds between two more marks. */
static void run_idle(void) {
    const char *at = options.steps ? options.steps : "";
    char name[48];
    int first = 0;
    double start;
    while (*at) {
        char *next;
        long end = strtol(at, &next, 10);
        if (next == at || end < first || end > options.connections) fail("bad --steps %s", options.steps);
        at = *next == ',' ? next + 1 : next;
        open_connections(first, (int)end);
        while (welcomed < (uint64_t)end) poll_once(0);
        for (start = now(); now() < start + options.warmup;) poll_once(5);
        snprintf(name, sizeof name, "open %ld", end);
        mark(name);
        first = (int)end;
    }
    mark("begin");
    for (start = now(); now() < start + options.seconds;) poll_once(5);
    start = now() - start;
    mark("end");
    printf("{\"connections\": %d, \"seconds\": %.6f}\n", first, start);
}

static void on_subscribe_message(Connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
    (void)opcode;
    if (!is_measuring) {
        on_idle_message(c, opcode, payload, length);
        return;
    }
    if (!contains(payload, length, options.ack)) return;
    if (contains(payload, length, "\"ok\":false")) fail("refused: %.*s", (int)length, (const char *)payload);
    if (c->next_n) fail("two answers on connection %u", c->index);
    c->next_n = 1;
    histogram_add(read_at - began_all);
    done++;
}

static void ask(Connection *c) {
    queue_frame(c, TEXT, options.request, strlen(options.request));
    flush_out(c);
}

/* Open all connections, then let each send --request in the same moment and wait for the last --ack. */
static void run_subscribe(void) {
    double took;
    if (!options.request) fail("--request is needed");
    open_connections(0, options.connections);
    while (welcomed < (uint64_t)options.connections) poll_once(0);
    poll_for(0.05);
    is_measuring = 1;
    idle_seconds = 0;
    began_all = now();
    for (int i = 0; i < options.connections; i++) ask(&connections[i]);
    while (done < (uint64_t)options.connections) poll_once(0);
    took = now() - began_all;
    printf("{\"subscribed\": %lu, \"all_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"generator_idle\": %.3f}\n",
           (unsigned long)done, took * 1000, histogram_ms(0.50), histogram_ms(0.99), idle_seconds / took);
}

const Mode storm_mode = {"storm", run_storm, NULL, on_storm_message, on_storm_close, NULL};
const Mode idle_mode = {"idle", run_idle, NULL, on_idle_message, NULL, NULL};
const Mode subscribe_mode = {"subscribe", run_subscribe, NULL, on_subscribe_message, NULL, NULL};
