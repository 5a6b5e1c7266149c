/* Fan-out: what a server publishes to subscribers. Every event is compared byte by byte with
 *
 *     {"topic":"T","event":"tick","data":{"n":N,"text":"xx...x"},"seq":S}
 *
 * where N counts from 0 in each burst (topics: from 0 per topic) and S goes up by one per event of a topic. Events
 * come singly, between --prefix and --suffix, or as elements of a batch frame.
 */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_HEAD "{\"type\":\"batch\",\"events\":["
#define CALIBRATION_STEPS 2
#define MAX_TRIES 3

typedef struct {
    uint64_t topic, n, seq;
} Event;

typedef struct {
    uint64_t n, seq;
} Topic;

static char head[320], after_topic[64], middle[4200];
static size_t head_length, after_topic_length, middle_length, prefix_length, suffix_length;
static Topic *topics;            /* topics mode: what comes next on each; seq 0 is not known yet */
static uint64_t seq_base;        /* fan-out: seq of n = 0 in this burst; 0 is not known yet */
static uint64_t arrived, batches, acked, expected_acks;
static double *sent_at;          /* latency: when publish n was asked for */
static int is_timing;

static Connection *controller(void) { return &connections[options.connections]; }

static void set_up_layout(void) {
    int is_numbered = options.topics > 0;
    int length = snprintf(head, sizeof head, "{\"topic\":\"%s%s", options.topic, is_numbered ? "-" : "");
    char *at = middle;
    const char *rest = "\",\"event\":\"tick\",\"data\":{\"n\":";
    if (length < 0 || (size_t)length >= sizeof head - 64) fail("the topic is too long");
    if (is_numbered) {
        after_topic_length = strlen(strcpy(after_topic, rest));
    } else {
        strcpy(head + length, rest);
    }
    head_length = strlen(head);
    if (options.text_length < 0 || options.text_length > 4096) fail("--text-length is 0 to 4096");
    at += sprintf(at, ",\"text\":\"");
    memset(at, 'x', (size_t)options.text_length);
    at += options.text_length;
    at += sprintf(at, "\"},\"seq\":");
    middle_length = (size_t)(at - middle);
    prefix_length = strlen(options.prefix);
    suffix_length = strlen(options.suffix);
}

/* Read one event; return what follows it, NULL when this is no event. */
static const uint8_t *read_event(const uint8_t *at, const uint8_t *end, Event *event) {
    if ((size_t)(end - at) < head_length + middle_length || memcmp(at, head, head_length)) return NULL;
    at += head_length;
    event->topic = 0;
    if (after_topic_length) {
        at = read_number(at, end, &event->topic);
        if ((size_t)(end - at) < after_topic_length || memcmp(at, after_topic, after_topic_length)) return NULL;
        at += after_topic_length;
    }
    at = read_number(at, end, &event->n);
    if ((size_t)(end - at) < middle_length + 2 || memcmp(at, middle, middle_length)) return NULL;
    at = read_number(at + middle_length, end, &event->seq);
    if (at >= end || *at != '}') return NULL;
    return at + 1;
}

static void take_topic_event(Connection *c, const Event *event) {
    Topic *topic;
    if (event->topic >= (uint64_t)options.topics * (uint64_t)options.connections ||
        event->topic % (uint64_t)options.connections != c->index)
        fail("topic %lu came to connection %u", (unsigned long)event->topic, c->index);
    topic = &topics[event->topic];
    if (event->n != topic->n)
        fail("topic %lu: expected number %lu, got %lu", (unsigned long)event->topic, (unsigned long)topic->n,
             (unsigned long)event->n);
    if (topic->seq && event->seq != topic->seq)
        fail("topic %lu: expected seq %lu, got %lu", (unsigned long)event->topic, (unsigned long)topic->seq,
             (unsigned long)event->seq);
    topic->n++;
    topic->seq = event->seq + 1;
}

static void take_event(Connection *c, const Event *event) {
    if (topics) {
        take_topic_event(c, event);
    } else {
        if (event->n != c->next_n)
            fail("expected number %lu, got %lu", (unsigned long)c->next_n, (unsigned long)event->n);
        if (!seq_base) seq_base = event->seq - event->n;
        if (event->seq != seq_base + event->n)
            fail("expected seq %lu, got %lu", (unsigned long)(seq_base + event->n), (unsigned long)event->seq);
        c->next_n++;
    }
    if (is_timing) histogram_add(read_at - sent_at[event->n]);
    arrived++;
}

static void other_message(Connection *c, const uint8_t *payload, size_t length) {
    if (length == 1 && payload[0] == '2') { /* the ping of Engine.IO */
        queue_frame(c, TEXT, "3", 1);
        return;
    }
    if (contains(payload, length, "\"ok\":false")) fail("the call failed: %.*s", (int)length, (const char *)payload);
    if (c == controller() || contains(payload, length, "{\"type\":\"ping\"}")) return;
    if (contains(payload, length, "\"topic\":\"__realtime\"") && !contains(payload, length, "\"lagged\"")) return;
    fail("not the event that was expected: %.*s", (int)(length < 300 ? length : 300), (const char *)payload);
}

static void on_message(Connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
    const uint8_t *at = payload, *end = payload + length;
    Event event;
    (void)opcode;
    if (c->acks < expected_acks && c != controller()) {
        if (contains(payload, length, options.ack) && ++c->acks == expected_acks) acked++;
        else if (contains(payload, length, "denied")) fail("not subscribed: %.*s", (int)length, (const char *)payload);
        return;
    }
    if (length > sizeof BATCH_HEAD && !memcmp(at, BATCH_HEAD, sizeof BATCH_HEAD - 1)) {
        at += sizeof BATCH_HEAD - 1;
        for (;;) {
            at = read_event(at, end, &event);
            if (!at) fail("not a batch of events: %.*s", (int)(length < 300 ? length : 300), (const char *)payload);
            take_event(c, &event);
            if (at >= end || *at != ',') break;
            at++;
        }
        if (end - at != 2 || memcmp(at, "]}", 2)) fail("a batch frame without its end");
        batches++;
        return;
    }
    if (length > prefix_length + suffix_length && !memcmp(at, options.prefix, prefix_length)) {
        at = read_event(at + prefix_length, end, &event);
        if (at && (size_t)(end - at) == suffix_length && !memcmp(at, options.suffix, suffix_length)) {
            take_event(c, &event);
            return;
        }
    }
    other_message(c, payload, length);
}

/* One subscribe-batch frame with the topics of a connection: T-i, T-(i+C), T-(i+2C) and so on. */
static void subscribe_topics(Connection *c) {
    size_t room = 64 + (size_t)options.topics * (strlen(options.topic) + 16), length;
    char *text = malloc(room);
    if (!text) fail("out of memory");
    length = (size_t)sprintf(text, "{\"type\":\"subscribe-batch\",\"topics\":[");
    for (int i = 0; i < options.topics; i++)
        length += (size_t)sprintf(text + length, "%s\"%s-%lu\"", i ? "," : "", options.topic,
                                  (unsigned long)c->index + (unsigned long)i * (unsigned long)options.connections);
    length += (size_t)sprintf(text + length, "],\"ref\":1}");
    queue_frame(c, TEXT, text, length);
    free(text);
}

static void on_open(Connection *c) {
    for (int i = 0; i < options.send_count; i++) {
        if (c == controller() && contains((const uint8_t *)options.sends[i], strlen(options.sends[i]), "subscribe"))
            continue; /* the controller only greets */
        queue_frame(c, TEXT, options.sends[i], strlen(options.sends[i]));
    }
    if (topics && c != controller()) subscribe_topics(c);
}

static void subscribe_all(void) {
    set_up_layout();
    if (!options.trigger) fail("--trigger is needed");
    if (options.topics) {
        topics = calloc((size_t)options.topics * (size_t)options.connections, sizeof *topics);
        if (!topics) fail("out of memory");
    }
    expected_acks = options.topics ? (uint64_t)options.topics : 1;
    open_connections(0, options.connections + 1);
    while (acked < (uint64_t)options.connections) poll_once(0);
    poll_for(0.05);
}

static void send_trigger(uint64_t number) {
    char text[512];
    int length = snprintf(text, sizeof text, options.trigger, (unsigned long)number);
    if (length < 0 || (size_t)length >= sizeof text) fail("the trigger is too long");
    queue_frame(controller(), TEXT, text, (size_t)length);
    flush_out(controller());
}

/* Ask for a burst and return how long it took until all of it had arrived. */
static double run_burst(uint64_t count) {
    uint64_t wanted = count * (uint64_t)options.connections * (topics ? (uint64_t)options.topics : 1);
    double began = now();
    for (int i = 0; i < options.connections; i++) connections[i].next_n = 0;
    for (size_t i = 0; topics && i < (size_t)options.topics * (size_t)options.connections; i++) topics[i].n = 0;
    if (seq_base && !topics) seq_base = seq_base + arrived / (uint64_t)options.connections;
    arrived = batches = 0;
    send_trigger(count);
    while (arrived < wanted) poll_once(0);
    return now() - began;
}

static uint64_t fitting(double rate, double seconds) {
    uint64_t per_turn = (uint64_t)options.per_turn, count = (uint64_t)(rate * seconds) / per_turn * per_turn;
    if (count > options.max_count) count = options.max_count / per_turn * per_turn;
    return count < per_turn ? per_turn : count;
}

/* Two bursts to warm up, each longer than the one before, tell how many publishes make a burst of --seconds: what
 * comes first lands in socket buffers and reads too fast. */
static void run_fanout(void) {
    uint64_t count = fitting(10, 1);
    double took, idle, began = now(), connected;
    subscribe_all();
    connected = now() - began;
    for (int step = 1; step <= CALIBRATION_STEPS; step++) {
        took = run_burst(count);
        count = fitting((double)count / took, options.seconds * (step == CALIBRATION_STEPS ? 1 : 0.25));
    }
    for (int tries = 1;; tries++) { /* a burst that turned out far too short is done again, longer */
        idle = idle_seconds;
        took = run_burst(count);
        if (took > options.seconds / 2 || tries == MAX_TRIES) break;
        count = fitting((double)count / took, options.seconds);
    }
    idle = (idle_seconds - idle) / took;
    count = arrived;
    poll_for(0.05); /* nothing may follow */
    if (arrived != count) fail("%lu events too many", (unsigned long)(arrived - count));
    printf("{\"deliveries\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"batch_frames\": %lu, "
           "\"connects_per_second\": %.1f, \"generator_idle\": %.3f}\n",
           (unsigned long)arrived, took, (double)arrived / took, (unsigned long)batches,
           (options.connections + 1) / connected, idle);
}

/* Ask for one publish every --interval, whatever has arrived by then. */
static void run_latency(void) {
    uint64_t count = (uint64_t)(options.seconds / options.interval), warm = (uint64_t)(options.warmup / options.interval);
    double began, idle;
    if (count < 1) fail("--seconds is shorter than --interval");
    subscribe_all();
    sent_at = calloc(count + warm + 1, sizeof *sent_at);
    if (!sent_at) fail("out of memory");
    began = now();
    idle = 0;
    for (uint64_t n = 0; n < warm + count; n++) {
        while (now() < began + (double)n * options.interval) poll_once(0);
        if (n == warm) {
            while (arrived < n * (uint64_t)options.connections) poll_once(0);
            mark("begin");
            began = now() - (double)n * options.interval;
            idle = idle_seconds;
            is_timing = 1;
        }
        sent_at[n] = now();
        send_trigger(n);
    }
    while (now() < began + (double)(warm + count) * options.interval) poll_once(0);
    while (arrived < (warm + count) * (uint64_t)options.connections) poll_once(0);
    idle = (idle_seconds - idle) / (now() - began - (double)warm * options.interval);
    is_timing = 0;
    mark("end");
    if (arrived != (warm + count) * (uint64_t)options.connections) fail("more events than were published");
    printf("{\"deliveries\": %lu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"generator_idle\": %.3f}\n",
           (unsigned long)histogram_count(), histogram_ms(0.50), histogram_ms(0.99), histogram_ms(0.999999), idle);
}

const Mode fanout_mode = {"fanout", run_fanout, on_open, on_message, NULL, NULL};
const Mode topics_mode = {"topics", run_fanout, on_open, on_message, NULL, NULL};
const Mode latency_mode = {"latency", run_latency, on_open, on_message, NULL, NULL};
