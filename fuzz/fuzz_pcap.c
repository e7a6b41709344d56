/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_pcap.c: any octets as the file of a capture, read as qcd decode reads
 * it. */
#include "fuzz.h"

#include "../tool/link.h"
#include "../tool/trace.h"

static const uint8_t hash_key[RECENT_KEY_LEN] = {6, 2, 9, 0};

static void read_all(pcap_t *pcap, link_layer *l)
{
    trace t;
    size_t offset;
    capture_packet packet;
    struct pcap_pkthdr *header;
    const uint8_t *frame;
    DEMAND(trace_open(&t, hash_key, 8));
    while (pcap_next_ex(pcap, &header, &frame) == 1) {
        if (link_find(l, &offset, header, frame)) {
            DEMAND(offset < header->caplen);
            capture_read(&packet, frame + offset, header->caplen - offset);
            trace_take(&t, &packet, header->ts.tv_sec & INT32_MAX);
        }
    }
    trace_end(&t);
    DEMAND(t.counts.shown >= trace_num_tokens(&t));
    trace_close(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    char error[PCAP_ERRBUF_SIZE];
    link_layer l;
    if (in_len == 0) {
        return 0;
    }
    uint8_t *copy = malloc(in_len);
    DEMAND(copy != NULL);
    memcpy(copy, in, in_len);
    FILE *file = fmemopen(copy, in_len, "rb");
    DEMAND(file != NULL);
    pcap_t *pcap = pcap_fopen_offline(file, error);
    if (pcap == NULL) {
        (void)fclose(file);
    } else {
        if (link_open(&l, pcap_datalink(pcap))) {
            read_all(pcap, &l);
        }
        link_close(&l);
        pcap_close(pcap);
    }
    free(copy);
    return 0;
}
