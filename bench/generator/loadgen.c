/* Options and start of the load generator: one thread, epoll, busy polling, no library.
 *
 *   loadgen MODE --port P [--path /ws] [--connections N] [--limit SECONDS] ...
 *
 *   fanout   N subscribers send each --send and wait for a frame that holds --ack; one more connection sends
 *            --trigger FORMAT (%lu is how many publishes), --per-turn says what that number is a multiple of, --seconds
 *            how long the measured burst should take
 *   topics   the same with --topics T per connection, so that each topic has one subscriber
 *   latency  --trigger FORMAT (%lu is the number of the publish) every --interval for --seconds after --warmup
 *   rpc      --in-flight D calls of --request FORMAT on each connection
 *   upload   --in-flight D binary frames of --size bytes on each connection, each acknowledged
 *   storm    --connections at a time are opened, greeted with --welcome and closed
 *   idle     --steps A,B,...: opens A connections, then up to B; then waits --seconds
 *   subscribe  --connections are opened, then all send --request at once and wait for a frame that holds --ack
 *
 * A run prints lines "# NAME" where it comes to a certain point (with --stepwise 1 it goes on when a line comes on its
 * standard input) and one JSON object at its end. Anything missing, repeated, changed or out of order, a closed
 * connection and the deadline end it with status 1 and a message.
 */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>

Options options = {
    .host = "127.0.0.1", .path = "/ws", .ack = "subscribed", .topic = "bench", .prefix = "", .suffix = "",
    .welcome = "\"welcome\"", .connections = 1, .in_flight = 1, .per_turn = 1, .text_length = 120, .size = 65536,
    .max_count = 1000000, .warmup = 0.3, .seconds = 1, .limit = 60, .interval = 0.05,
};
const Mode *mode;

static const Mode *const modes[] = {&fanout_mode, &topics_mode, &latency_mode, &rpc_mode,
                                    &upload_mode, &storm_mode,  &idle_mode, &subscribe_mode};

typedef struct {
    const char *name;
    enum { IS_TEXT, IS_INT, IS_LONG, IS_DOUBLE } kind;
    void *target;
} Option;

static const Option known[] = {
    {"--path", IS_TEXT, &options.path},          {"--ack", IS_TEXT, &options.ack},
    {"--request", IS_TEXT, &options.request},    {"--trigger", IS_TEXT, &options.trigger},
    {"--topic", IS_TEXT, &options.topic},        {"--prefix", IS_TEXT, &options.prefix},
    {"--suffix", IS_TEXT, &options.suffix},      {"--welcome", IS_TEXT, &options.welcome},
    {"--steps", IS_TEXT, &options.steps},        {"--port", IS_INT, &options.port},
    {"--connections", IS_INT, &options.connections}, {"--in-flight", IS_INT, &options.in_flight},
    {"--topics", IS_INT, &options.topics},       {"--per-turn", IS_INT, &options.per_turn},
    {"--text-length", IS_INT, &options.text_length}, {"--stepwise", IS_INT, &options.is_stepwise},
    {"--size", IS_LONG, &options.size},          {"--max-count", IS_LONG, &options.max_count},
    {"--source-base", IS_LONG, &options.source_base}, {"--warmup", IS_DOUBLE, &options.warmup},
    {"--seconds", IS_DOUBLE, &options.seconds},  {"--limit", IS_DOUBLE, &options.limit},
    {"--interval", IS_DOUBLE, &options.interval},
};

static void take_option(const char *name, const char *value) {
    if (!strcmp(name, "--send")) {
        if (options.send_count == MAX_SENDS) fail("at most %d times --send", MAX_SENDS);
        options.sends[options.send_count++] = value;
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name)) continue;
        switch (known[i].kind) {
        case IS_TEXT: *(const char **)known[i].target = value; break;
        case IS_INT: *(int *)known[i].target = atoi(value); break;
        case IS_LONG: *(uint64_t *)known[i].target = strtoull(value, NULL, 10); break;
        case IS_DOUBLE: *(double *)known[i].target = atof(value); break;
        }
        return;
    }
    fail("unknown option %s", name);
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(argv[1], modes[i]->name)) mode = modes[i];
    if (!mode) fail("which mode: fanout, topics, latency, rpc, upload, storm, idle or subscribe");
    if (argc % 2) fail("%s has no value", argv[argc - 1]);
    for (int i = 2; i + 1 < argc; i += 2) take_option(argv[i], argv[i + 1]);
    if (options.port <= 0) fail("--port is needed");
    if (options.connections < 1 || options.connections > MAX_CONNECTIONS)
        fail("--connections is 1 to %d", MAX_CONNECTIONS);
    if (options.in_flight < 1 || options.in_flight > MAX_IN_FLIGHT) fail("--in-flight is 1 to %d", MAX_IN_FLIGHT);
    if (options.per_turn < 1 || options.interval <= 0) fail("--per-turn and --interval are above 0");
    set_up();
    mode->run();
    return 0;
}
