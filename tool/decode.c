/* SPDX-License-Identifier: Apache-2.0 */
/* decode.c: qcd decode, shows what of quick crash detection is in a capture. */
#include "decode.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "link.h"

#define TIME_MAX_SECONDS INT64_C(253402300799) /* the end of year 9999 */

/* reader is a capture that is being read. */
typedef struct reader {
    pcap_t *pcap;
    link_layer layer;
} reader;

static void reader_close(reader *r)
{
    link_close(&r->layer);
    if (r->pcap != NULL) {
        pcap_close(r->pcap);
    }
}

/* open_file opens the file of a path; "-" is standard input. */
static FILE *open_file(const char *path, sentence *why)
{
    struct stat info;
    if (strcmp(path, "-") == 0) {
        return stdin;
    }
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        sentence_set(why, "cannot open %s: %s", path, describe_error(errno));
        return NULL;
    }
    if (fstat(fileno(file), &info) == 0 && S_ISDIR(info.st_mode)) {
        sentence_set(why,
                     "cannot read %s: it is a folder. Give the file of a "
                     "capture",
                     path);
        (void)fclose(file);
        return NULL;
    }
    return file;
}

static bool open_link(reader *r, decoded *out, sentence *why)
{
    int type = pcap_datalink(r->pcap);
    const char *name = pcap_datalink_val_to_name(type);
    if (name != NULL) {
        (void)snprintf(out->link, sizeof(out->link), "%s", name);
    } else {
        (void)snprintf(out->link, sizeof(out->link), "%d", type);
    }
    if (link_open(&r->layer, type)) {
        return true;
    }
    sentence_set(why,
                 "cannot find IP packets in %s: its link type is %s%s%s, for "
                 "which libpcap has no filters. Capture on another interface",
                 out->path, out->link, name != NULL ? ", " : "",
                 name != NULL ? pcap_datalink_val_to_description(type) : "");
    return false;
}

static bool reader_open(reader *out, decoded *d, sentence *why)
{
    char error[PCAP_ERRBUF_SIZE] = "";
    *out = (reader){0};
    FILE *file = open_file(d->path, why);
    if (file == NULL) {
        return false;
    }
    out->pcap = pcap_fopen_offline_with_tstamp_precision(
        file, PCAP_TSTAMP_PRECISION_MICRO, error);
    if (out->pcap == NULL) {
        sentence_set(why,
                     "%s is not a capture in the format pcap or pcapng, or its "
                     "beginning is damaged: %s",
                     d->path, error);
        if (file != stdin) {
            (void)fclose(file);
        }
        return false;
    }
    return open_link(out, d, why);
}

/* time_of returns microseconds since 1970.  A capture may have any numbers. */
static int64_t time_of(const struct pcap_pkthdr *header)
{
    int64_t seconds = header->ts.tv_sec;
    int64_t rest = header->ts.tv_usec;
    seconds = seconds < 0 ? 0 : seconds;
    seconds = seconds > TIME_MAX_SECONDS ? TIME_MAX_SECONDS : seconds;
    return seconds * 1000000 + (rest >= 0 && rest < 1000000 ? rest : 0);
}

static void take_frame(decoded *out, reader *r,
                       const struct pcap_pkthdr *header, const uint8_t *frame)
{
    size_t offset;
    capture_packet packet;
    int64_t time = time_of(header);
    out->begin = out->num_packets == 0 || time < out->begin ? time : out->begin;
    out->end = time > out->end ? time : out->end;
    out->num_packets++;
    out->num_cut += header->caplen < header->len ? 1 : 0;
    if (!link_find(&r->layer, &offset, header, frame)) {
        out->num_no_ip++;
        return;
    }
    capture_read(&packet, frame + offset, header->caplen - offset);
    trace_take(&out->trace, &packet, time);
}

/* read_frames reads to the end.  It returns false if the capture breaks off. */
static bool read_frames(decoded *out, reader *r, sentence *why)
{
    struct pcap_pkthdr *header;
    const uint8_t *frame;
    int result;
    while ((result = pcap_next_ex(r->pcap, &header, &frame)) == 1) {
        take_frame(out, r, header, frame);
    }
    if (result == PCAP_ERROR_BREAK) {
        return true;
    }
    sentence_set(why,
                 "%s is damaged after packet %llu: %s. What was before that is "
                 "shown",
                 out->path, (unsigned long long)out->num_packets,
                 pcap_geterr(r->pcap));
    return false;
}

/* finish reports what could not be done.  A leak is a leak in a damaged capture
 * too. */
static int finish(const options *opts, const decoded *d, const sentence *why)
{
    enum trace_verdict worst = trace_worst(&d->trace);
    if (*why->text != '\0') {
        (void)output_fail(opts, why);
        return worst == TRACE_LEAK ? TOOL_LEAK : TOOL_FAILED;
    }
    return worst == TRACE_LEAK        ? TOOL_LEAK
           : worst == TRACE_SUSPECTED ? TOOL_SUSPECTED
                                      : TOOL_OK;
}

static int show(const options *opts, const decoded *d, sentence *why)
{
    output_ok(opts);
    if (is_json(opts)) {
        decode_print_json(d);
    } else {
        decode_print(d);
    }
    uint64_t num_unreadable = d->trace.counts.unreadable;
    if (*why->text == '\0' && num_unreadable > 0) {
        sentence_set(why,
                     "%s has only a part of %llu message%s that may have "
                     "tokens: a leak may be missed. Capture whole packets: "
                     "tcpdump -s 0",
                     d->path, (unsigned long long)num_unreadable,
                     num_unreadable == 1 ? "" : "s");
    }
    if (*why->text == '\0' && trace_num_refused(&d->trace) > 0) {
        sentence_set(why,
                     "%s has too many tokens to follow: a leak may be missed. "
                     "Split it by host, with tcpdump -r and -w",
                     d->path);
    }
    sentence undrawn = {0};
    if (opts->svg != NULL && !decode_draw(d, opts->svg, &undrawn)) {
        if (*why->text != '\0') {
            (void)output_fail(opts, why);
        }
        return finish(opts, d, &undrawn);
    }
    return finish(opts, d, why);
}

static int run(const options *opts, decoded *d)
{
    reader r;
    sentence why = {0};
    uint8_t key[RECENT_KEY_LEN];
    bool is_open = reader_open(&r, d, &why);
    if (is_open) {
        randombytes_buf(key, sizeof(key));
        is_open = trace_open(&d->trace, key, TRACE_TOKENS_MAX);
        if (!is_open) {
            sentence_set(&why, "out of memory");
        }
    }
    if (is_open) {
        (void)read_frames(d, &r, &why);
        trace_end(&d->trace);
    }
    reader_close(&r);
    return is_open ? show(opts, d, &why) : output_fail(opts, &why);
}

int decode_main(const options *opts)
{
    if (opts->num_arguments == 0) {
        output_misuse("\"qcd decode\" needs the file of a capture. See: qcd "
                      "help decode");
        return TOOL_MISUSE;
    }
    if (sodium_init() < 0) {
        sentence why;
        sentence_set(&why, "libsodium cannot start");
        return output_fail(opts, &why);
    }
    decoded d = {
        .path = opts->arguments[0], .begin = TRACE_NEVER, .end = TRACE_NEVER};
    int code = run(opts, &d);
    trace_close(&d.trace);
    return code;
}
