/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_receiver.c: any octets as packets that charon receives.  The first octet
 * chooses the ports.  The plugin sees exactly the IKE message in the packet
 * (RFC 7296 section 2.23), and charon receives what no callback has consumed.
 */
#include "fuzz_control.h"

#include "qcd_receiver.h"

static chunk_t packet_data;
static uint16_t ports[2];
static bool is_given; /* by the played socket */
static int num_seen;
static bool consumes;

static status_t receive(socket_manager_t *this, packet_t **packet)
{
    host_t *src, *dst;

    if (is_given) {
        return FAILED;
    }
    is_given = true;
    src = host_create_from_string("192.0.2.1", ports[0]);
    dst = host_create_from_string("192.0.2.2", ports[1]);
    *packet = packet_create_from_data(src, dst, chunk_clone(packet_data));
    return SUCCESS;
}

static bool look(void *data, packet_t *packet, chunk_t message)
{
    bool is_plain = ports[0] == 500 || ports[1] == 500;
    size_t skipped = is_plain ? 0 : 4;

    DEMAND(data == &num_seen);
    num_seen++;
    if (!is_plain &&
        (packet_data.len < 4 || !fuzz_is_zero(packet_data.ptr, 4))) {
        DEMAND(message.len == 0);
        return consumes;
    }
    DEMAND(message.len == packet_data.len - skipped);
    DEMAND(message.len == 0 ||
           memcmp(message.ptr, packet_data.ptr + skipped, message.len) == 0);
    return consumes && num_seen == 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static const uint16_t choices[] = {500, 4500, 31234, 0};
    static bool is_open;
    packet_t *packet = NULL;

    if (in_len == 0) {
        return 0;
    }
    if (!is_open) {
        DEMAND(box_open(NULL) == 0);
        is_open = true;
    }
    ports[0] = choices[in[0] & 3];
    ports[1] = choices[in[0] >> 2 & 3];
    consumes = (in[0] & 16) != 0;
    packet_data = chunk_create((u_char *)in + 1, in_len - 1);
    is_given = false;
    num_seen = 0;
    charon->socket->receive = receive;
    qcd_receiver_t *receiver = qcd_receiver_create();
    receiver->add(receiver, look, &num_seen);
    receiver->add(receiver, look, &num_seen);
    status_t status = charon->socket->receive(charon->socket, &packet);
    DEMAND(num_seen >= 1 && num_seen <= 2);
    DEMAND((status == SUCCESS) == !consumes);
    if (status == SUCCESS) {
        chunk_t got = packet->get_data(packet);
        DEMAND(got.len == packet_data.len);
        DEMAND(got.len == 0 || memcmp(got.ptr, packet_data.ptr, got.len) == 0);
        packet->destroy(packet);
    }
    receiver->destroy(receiver);
    DEMAND(charon->socket->receive == receive);
    return 0;
}
