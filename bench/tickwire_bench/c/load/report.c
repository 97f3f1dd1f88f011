/* The figures, as a table for people or one JSON object for programs. */
#include "load.h"

#include <stdio.h>

static const double PERCENTS[] = {50, 90, 99, 99.9};

static double seconds(const measurement *m) { return (double)(m->end_ns - m->start_ns) / 1e9; }

static double microseconds(const measurement *m, double percent) {
    return (double)histogram_percentile(&m->latency, percent) / 1e3;
}

static double per_delivery(const measurement *m) { return m->deliveries ? m->server_cpu * 1e6 / (double)m->deliveries : 0; }

static void json_fields(const measurement *m) {
    double time = seconds(m);
    printf("\"seconds\": %.4f, \"deliveries\": %llu, \"deliveries_per_s\": %.1f, \"published\": %llu, \"published_per_s\": %.1f, ",
           time, (unsigned long long)m->deliveries, (double)m->deliveries / time, (unsigned long long)m->published,
           (double)m->published / time);
    printf("\"bytes_in\": %llu, ", (unsigned long long)m->bytes_in);
    printf("\"latency_us\": {\"samples\": %llu, ", (unsigned long long)m->latency.count);
    for (int i = 0; i < 4; i++) printf("\"p%g\": %.1f, ", PERCENTS[i], microseconds(m, PERCENTS[i]));
    printf("\"max\": %.1f}, \"own_cpu_s\": %.3f, \"own_cpu_share\": %.3f, \"own_wait_s\": %.3f, ", (double)m->latency.max / 1e3,
           m->own_cpu, m->own_cpu / time, m->own_wait);
    if (!asked.server_pid) {
        printf("\"server_cpu_s\": null, \"server_cpu_us_per_delivery\": null, \"server_wait_s\": null, \"server_rss\": null, \"server_rss_max\": null");
        return;
    }
    printf("\"server_cpu_s\": %.3f, \"server_cpu_us_per_delivery\": %.5f, \"server_wait_s\": %.3f, ", m->server_cpu,
           per_delivery(m), m->server_wait);
    printf("\"server_rss\": %llu, \"server_rss_max\": %llu", (unsigned long long)m->rss_start, (unsigned long long)m->rss_max);
}

static void table(const char *title, const measurement *m) {
    double time = seconds(m);
    printf("%s\n", title);
    printf("  deliveries     %12llu in %.2f s = %.0f/s\n", (unsigned long long)m->deliveries, time, (double)m->deliveries / time);
    printf("  published      %12llu = %.0f/s\n", (unsigned long long)m->published, (double)m->published / time);
    if (m->latency.count)
        printf("  latency (us)   p50 %.0f   p90 %.0f   p99 %.0f   p99.9 %.0f   max %.0f\n", microseconds(m, 50), microseconds(m, 90),
               microseconds(m, 99), microseconds(m, 99.9), (double)m->latency.max / 1e3);
    printf("  own CPU        %12.2f s = %.0f %% of one core\n", m->own_cpu, 100 * m->own_cpu / time);
    double disturbed = m->own_wait > m->server_wait ? m->own_wait : m->server_wait;
    if (disturbed > 0.05 * time)
        printf("  disturbed      another process had the %s core for %.2f s\n",
               m->own_wait > m->server_wait ? "load tool's" : "server's", disturbed);
    if (asked.server_pid)
        printf("  server         %12.2f s of CPU = %.0f %% of one core, %.3f us a delivery, %.1f MiB resident\n", m->server_cpu,
               100 * m->server_cpu / time, per_delivery(m), (double)m->rss_max / (1 << 20));
}

static void totals(connection **readers, uint64_t *gaps, uint64_t *lost) {
    for (int i = asked.readers - asked.slow; i < asked.readers; i++) {
        *gaps += readers[i]->gaps;
        *lost += readers[i]->lost;
    }
}

static void report_json(const measurement *live, const measurement *stalled, uint64_t gaps, uint64_t lost) {
    printf("{\"mode\": \"%s\", \"readers\": %d, \"publishers\": %d, \"topics\": %d, \"payload\": %d, \"batch\": %d, ",
           asked.dialect->name, asked.readers, asked.publishers, asked.topics, asked.payload, asked.batch);
    if (asked.rate) printf("\"rate\": %g, ", asked.rate);
    else printf("\"in_flight\": %d, ", asked.in_flight);
    json_fields(live);
    if (asked.slow) {
        printf(", \"slow\": %d, \"gaps\": %llu, \"announced_lost\": %llu, \"stalled\": {", asked.slow, (unsigned long long)gaps,
               (unsigned long long)lost);
        json_fields(stalled);
        printf("}");
    }
    printf("}\n");
}

void report(const measurement *live, const measurement *stalled, connection **readers) {
    uint64_t gaps = 0, lost = 0;
    totals(readers, &gaps, &lost);
    if (asked.json) {
        report_json(live, stalled, gaps, lost);
        return;
    }
    printf("%d readers, %d publishers, %d topics, %d-byte payloads, %d a frame\n", asked.readers, asked.publishers, asked.topics,
           asked.payload, asked.batch);
    table(asked.slow ? "all readers reading" : "", live);
    if (!asked.slow) return;
    table("some not reading", stalled);
    printf("  slow readers   %d, told of %llu missed messages in %llu gaps, then level again\n", asked.slow,
           (unsigned long long)lost, (unsigned long long)gaps);
}

void report_idle(int connections) {
    uint64_t rss = server_rss();
    if (asked.json) printf("{\"connections\": %d, \"server_rss\": %llu}\n", connections, (unsigned long long)rss);
    else if (rss) printf("%d idle connections, server %.1f MiB resident\n", connections, (double)rss / (1 << 20));
    else printf("%d idle connections\n", connections);
    fflush(stdout);
}

void report_storm(int connections, double opening, const measurement *back) {
    double seconds = (double)(back->end_ns - back->start_ns) / 1e9;
    if (asked.json)
        printf("{\"connections\": %d, \"opening_s\": %.3f, \"back_s\": %.3f, \"server_cpu_s\": %.3f, \"own_wait_s\": %.3f, "
               "\"server_wait_s\": %.3f}\n", connections, opening, seconds, back->server_cpu, back->own_wait, back->server_wait);
    else
        printf("%d connections opened in %.2f s; cut off, all of them were back after %.2f s\n", connections, opening, seconds);
}
