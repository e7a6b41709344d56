/* SPDX-License-Identifier: Apache-2.0 */
/* prove_keyfile.c: the frame of a file of each length up to 300 octets, which
 * is longer than all that are written, and about the longest that is allowed,
 * with any content, read and written again.  The octets end at the end of an
 * object, so that one octet more is an alarm. */
#include "proof.h"
#include "store/secrets.h"

#define LONGEST (KEYFILE_MAX + 2)

static uint8_t octets[LONGEST];

static void read_frame(size_t len)
{
    uint8_t out[KEYFILE_MAX];
    keyfile_body body;

    if (keyfile_decode(&body, &run_kind, octets + (LONGEST - len), len) !=
        QCD_STORE_OK) {
        //@ assert body.len == 0;
        return;
    }
    //@ assert body.len == len - KEYFILE_FRAME_LEN;
    //@ assert 1 <= body.version <= RUN_VERSION;
    size_t written = keyfile_encode(out, &run_kind, &body);
    //@ assert written == len;
    proof_written(out, written);
}

int main(void)
{
    unknown(octets, sizeof(octets));
    for (size_t len = 0; len <= 300; len++) {
        read_frame(len);
    }
    for (size_t len = KEYFILE_MAX - 2; len <= LONGEST; len++) {
        read_frame(len);
    }
    return 0;
}
