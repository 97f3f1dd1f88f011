/* The command line: every option in one table that also writes the help. */
#include "load.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

options asked = {
    .host = "127.0.0.1",
    .port = 8765,
    .readers = 100,
    .publishers = 1,
    .topics = 1,
    .dialect = &WIRE,
    .payload = 64,
    .batch = 1,
    .in_flight = 256,
    .duration = 3,
    .warmup = 1,
};

enum {
    HOST = 256, PORT, MODE, READERS, PUBLISHERS, TOPICS, PAYLOAD, BATCH, IN_FLIGHT, WINDOW, ACKS, RATE, DURATION, WARMUP,
    TOTAL_BYTES, EXPECT, SLOW, IDLE, STORM, EACH, EVENLY, TLS_, DEFLATE, FILLING, SERVER_PID, POLL, JSON, HELP
};

static const struct {
    const char *name;
    int value;
    const char *argument, *help;
} TABLE[] = {
    {"host", HOST, "ADDRESS", "where the server is; loopback only (127.0.0.1)"},
    {"port", PORT, "PORT", "its port (8765)"},
    {"mode", MODE, "DIALECT", "what is spoken, and so what the server is; see below (wire)"},
    {"readers", READERS, "N", "connections that subscribe (100)"},
    {"publishers", PUBLISHERS, "N", "connections that publish (1); with 0 the readers wait for somebody else's messages"},
    {"topics", TOPICS, "N", "topics bench.0, bench.1, ...; each reader gets them all (1)"},
    {"each", EACH, "K", "each reader gets K of the topics, drawn by Zipf's law, and so are those that are published to"},
    {"evenly", EVENLY, NULL, "with --each: readers draw their topics evenly, so that all have as many; publishes as before"},
    {"payload", PAYLOAD, "BYTES", "size of a message, at least 32: a msgpack map of a stamp, a number and padding (64)"},
    {"filling", FILLING, "FILE", "fill the messages with what stands there, not with zeros: for what compresses"},
    {"batch", BATCH, "M", "messages in a PUBLISH frame, or in one send where there is no such frame (1)"},
    {"tls", TLS_, NULL, "speak through TLS; no certificate is checked"},
    {"deflate", DEFLATE, NULL, "readers ask for permessage-deflate"},
    {"in-flight", IN_FLIGHT, "K", "closed loop: messages in flight per publisher (256)"},
    {"window", WINDOW, "reader|ack|credit", "when a message is no longer in flight: reader 0 has it; it is acknowledged;\n"
                                "or another process says in " CREDIT_TOPIC " how many it has had (reader)"},
    {"acks", ACKS, NULL, "ask for acknowledgments although the window does not need them"},
    {"rate", RATE, "R", "open loop instead: messages a second of all publishers together"},
    {"duration", DURATION, "S", "seconds that are measured (3)"},
    {"warmup", WARMUP, "S", "seconds before that (1)"},
    {"total-bytes", TOTAL_BYTES, "LIMIT", "end the last measurement after so many published payload bytes"},
    {"expect", EXPECT, "N", "end when each reader has had N messages; for --publishers 0"},
    {"slow", SLOW, "N", "N of the readers stop reading after the first measurement; a second one runs over --total-bytes;\n"
                        "then they read again and must be told what they missed"},
    {"idle", IDLE, "N", "only open N subscribed connections, say so, and hold them for --duration"},
    {"storm", STORM, "N", "open N subscribed connections, cut them all off, open them all at once again: how long that takes"},
    {"server-pid", SERVER_PID, "PID", "report that process's CPU time and resident memory"},
    {"poll", POLL, NULL, "never sleep while it measures, on a core of its own: a reader that sleeps is woken by who sends to it,\n"
                          "which on one machine costs the server more than the sending; the time without work is no CPU time then"},
    {"json", JSON, NULL, "one JSON object instead of a table"},
    {"help", HELP, NULL, "this text"},
};
#define ROWS (sizeof TABLE / sizeof *TABLE)

static const dialect *const dialects[] = {&WIRE, &RAW, &NATS, &NATS_WEBSOCKET, &REDIS, &MQTT, &SOCKET_IO};
#define DIALECTS (sizeof dialects / sizeof *dialects)

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static _Noreturn void misuse(const char *option, const char *value, const char *wanted) {
    fprintf(stderr, "load: --%s %s: %s; try --help\n", option, value, wanted);
    exit(2);
}

static void print_help(void) {
    puts("Usage: load [options]\n\n"
         "Puts load on a broker on this machine and reports what its readers got. What comes is checked: a hole, a\n"
         "repeat, a refusal or a lost connection ends the run with a sentence and exit code 1, without figures.\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[40];
        snprintf(left, sizeof left, "--%s %s", TABLE[i].name, TABLE[i].argument ? TABLE[i].argument : "");
        const char *help = TABLE[i].help, *line;
        for (const char *label = left; (line = strchr(help, '\n')); help = line + 1, label = "")
            printf("  %-27s %.*s\n", label, (int)(line - help), help);
        printf("  %-27s %s\n", help == TABLE[i].help ? left : "", help);
    }
    puts("\nDialects:");
    for (size_t i = 0; i < DIALECTS; i++) printf("  %-27s %s\n", dialects[i]->name, dialects[i]->help);
    puts("\nExamples:\n"
         "  load --readers 100 --in-flight 256 --server-pid $(pgrep -f 'tickwire serve')\n"
         "  load --readers 20 --rate 50000 --duration 10 --json\n"
         "  load --idle 1000 --duration 60");
}

static double number(const char *option, const char *text, double least, double most) {
    char *end, wanted[80];
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) {
        snprintf(wanted, sizeof wanted, "must be a number from %g to %.0f", least, most);
        misuse(option, text, wanted);
    }
    return value;
}

static int choice(const char *option, const char *text, const char *names[], int count) {
    for (int i = 0; i < count; i++)
        if (!strcmp(text, names[i])) return i;
    misuse(option, text, "is not one of its values");
}

static const dialect *dialect_named(const char *text) {
    for (size_t i = 0; i < DIALECTS; i++)
        if (!strcmp(text, dialects[i]->name)) return dialects[i];
    misuse("mode", text, "is none of the dialects");
}

static void require_loopback(const char *host) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127) return;
    if (inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six)) return;
    misuse("host", host, "must be 127.0.0.0/8 or ::1: this tool never puts load on a network");
}

static void set(int option, const char *name, const char *text) {
    static const char *windows[] = {"reader", "ack", "credit"};
    switch (option) {
    case HOST: asked.host = text; return;
    case PORT: asked.port = (int)number(name, text, 1, 65535); return;
    case MODE: asked.dialect = dialect_named(text); return;
    case READERS: asked.readers = (int)number(name, text, 0, 25000); return;
    case PUBLISHERS: asked.publishers = (int)number(name, text, 0, 1000); return;
    case TOPICS: asked.topics = (int)number(name, text, 1, MAX_TOPICS); return;
    case PAYLOAD: asked.payload = (int)number(name, text, MIN_PAYLOAD, 1000000); return;
    case BATCH: asked.batch = (int)number(name, text, 1, 8192); return;
    case IN_FLIGHT: asked.in_flight = (int)number(name, text, 1, 1e8); return;
    case WINDOW: asked.window = (window)choice(name, text, windows, 3); return;
    case ACKS: asked.acks = true; return;
    case RATE: asked.rate = number(name, text, 1, 1e9); return;
    case DURATION: asked.duration = number(name, text, 0.01, 86400); return;
    case WARMUP: asked.warmup = number(name, text, 0, 3600); return;
    case TOTAL_BYTES: asked.total_bytes = (uint64_t)number(name, text, 1, 1e15); return;
    case EXPECT: asked.expect = (uint64_t)number(name, text, 1, 1e15); return;
    case SLOW: asked.slow = (int)number(name, text, 0, 25000); return;
    case IDLE: asked.idle = (int)number(name, text, 1, 28000); return;
    case STORM: asked.storm = (int)number(name, text, 1, 28000); return;
    case EACH: asked.each = (int)number(name, text, 1, 1000); return;
    case EVENLY: asked.evenly = true; return;
    case TLS_: asked.tls = true; return;
    case DEFLATE: asked.deflate = true; return;
    case FILLING: asked.filling = text; return;
    case SERVER_PID: asked.server_pid = (pid_t)number(name, text, 1, 4194304); return;
    case POLL: asked.poll = true; return;
    case JSON: asked.json = true; return;
    case HELP: print_help(); exit(0);
    default: exit(2);
    }
}

void contradiction(const char *sentence) {
    fprintf(stderr, "load: %s; try --help\n", sentence);
    exit(2);
}

static void check_together(void) {
    require_loopback(asked.host);
    if (asked.batch > asked.in_flight && !asked.rate) contradiction("--batch must not be over --in-flight");
    if ((int64_t)asked.batch * (asked.payload + 5) > 1040000) contradiction("--batch x --payload is over a frame of 1 MiB");
    if ((asked.acks || asked.window == WINDOW_ACK) && !asked.dialect->acks)
        contradiction("this server has no acknowledgments");
    if (asked.window == WINDOW_CREDIT && !asked.dialect->credit) contradiction("--window credit is for the wire");
    if (asked.deflate && !asked.dialect->websocket) contradiction("--deflate is for what is spoken over a WebSocket");
    if (asked.each >= asked.topics && asked.each) contradiction("--each must be less than --topics");
    if (asked.evenly && !asked.each) contradiction("--evenly goes with --each");
    if (asked.each && (asked.slow || asked.expect)) contradiction("--each goes with neither --slow nor --expect");
    if (asked.window == WINDOW_READER && !asked.readers && !asked.rate && asked.publishers)
        contradiction("--window reader needs a reader; without any, use --window ack or --rate");
    if (asked.slow && (asked.slow >= asked.readers || !asked.total_bytes))
        contradiction("--slow needs --total-bytes, and one reader more that goes on reading");
    if (asked.slow && !asked.dialect->gaps) contradiction("--slow is for the wire: no other server announces gaps");
    if (asked.window == WINDOW_ACK) asked.acks = true;
}

void read_options(int argc, char **argv) {
    struct option long_options[ROWS + 1] = {0};
    for (size_t i = 0; i < ROWS; i++)
        long_options[i] = (struct option){TABLE[i].name, TABLE[i].argument ? required_argument : no_argument, NULL, TABLE[i].value};
    for (int value, index = 0; (value = getopt_long(argc, argv, "", long_options, &index)) != -1;)
        set(value, value == '?' ? "" : TABLE[index].name, optarg);
    if (optind < argc) misuse("", argv[optind], "is not an option");
    check_together();
}
