/* SPDX-License-Identifier: Apache-2.0 */
/* ct_store.c: checks that the way of the secrets, from their birth to a token
 * in a reply, takes the same time whatever they are.  They are secret as soon
 * as the system has drawn them, and stay so through the file.
 *
 * The SA map has no secrets: its rows have SPIs, which are on the wire. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nettle/memops.h>
#include <qcd/store.h>

#include "ct.h"
#include "xtea.h"

enum { NODE = 3, FRAME_MAX = 1024, NUM_FRAMES = 8 };

static const qcd_address peer = {4, {192, 0, 2, 1}};
static qcd_maker maker;
static qcd_taker taker;
static int num_wrong;

static void expect(const char *what, bool is_so)
{
    if (!is_so) {
        fprintf(stderr, "wrong: %s\n", what);
        num_wrong++;
    }
}

/* ---- Calls that are replaced by the linker's --wrap -------------------- */

int __real_getentropy(void *out, size_t len);
int __wrap_getentropy(void *out, size_t len);
ssize_t __real_pwrite64(int fd, const void *in, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *in, size_t len, off_t at);
ssize_t __real_pread64(int fd, void *out, size_t len, off_t at);
ssize_t __wrap_pread64(int fd, void *out, size_t len, off_t at);
int __real_nettle_memeql_sec(const void *a, const void *b, size_t len);
int __wrap_nettle_memeql_sec(const void *a, const void *b, size_t len);
void __real_xtea_encrypt(uint8_t out[XTEA_BLOCK_LEN],
                         const uint32_t key[XTEA_KEY_WORDS],
                         const uint8_t in[XTEA_BLOCK_LEN]);
void __wrap_xtea_encrypt(uint8_t out[XTEA_BLOCK_LEN],
                         const uint32_t key[XTEA_KEY_WORDS],
                         const uint8_t in[XTEA_BLOCK_LEN]);
void __real_xtea_decrypt(uint8_t out[XTEA_BLOCK_LEN],
                         const uint32_t key[XTEA_KEY_WORDS],
                         const uint8_t in[XTEA_BLOCK_LEN]);
void __wrap_xtea_decrypt(uint8_t out[XTEA_BLOCK_LEN],
                         const uint32_t key[XTEA_KEY_WORDS],
                         const uint8_t in[XTEA_BLOCK_LEN]);

int __wrap_getentropy(void *out, size_t len)
{
    int result = __real_getentropy(out, len);

    SECRET(out, len);
    return result;
}

/* What of the files that were written is secret. */
static struct {
    size_t len;
    uint8_t octets[FRAME_MAX];
    uint8_t secret_bits[FRAME_MAX];
} frames[NUM_FRAMES];
static size_t num_frames;

/* The file is where the secrets belong. */
ssize_t __wrap_pwrite64(int fd, const void *in, size_t len, off_t at)
{
    size_t i = num_frames++ % NUM_FRAMES;

    assert(len <= FRAME_MAX);
    frames[i].len = len;
    memcpy(frames[i].octets, in, len);
    (void)VALGRIND_GET_VBITS(in, frames[i].secret_bits, len);
    PUBLIC(frames[i].octets, len);
    return __real_pwrite64(fd, frames[i].octets, len, at);
}

ssize_t __wrap_pread64(int fd, void *out, size_t len, off_t at)
{
    ssize_t n = __real_pread64(fd, out, len, at);

    for (size_t i = 0; i < NUM_FRAMES && n > 0; i++) {
        if (frames[i].len == (size_t)n &&
            memcmp(frames[i].octets, out, (size_t)n) == 0) {
            (void)VALGRIND_SET_VBITS(out, frames[i].secret_bits, (size_t)n);
            break;
        }
    }
    return n;
}

/* Whether a file is damaged, belongs to the secrets, or has the same secrets is
 * told to the administrator.  (The taker combines its results without a branch:
 * ct_taker.c has no such exception.) */
int __wrap_nettle_memeql_sec(const void *a, const void *b, size_t len)
{
    int is_equal = __real_nettle_memeql_sec(a, b, len);

    PUBLIC(&is_equal, sizeof(is_equal));
    return is_equal;
}

/* Whether an SPI is ours, and of which run, decides between a reply and
 * silence, which everybody sees. */
void __wrap_xtea_decrypt(uint8_t out[XTEA_BLOCK_LEN],
                         const uint32_t key[XTEA_KEY_WORDS],
                         const uint8_t in[XTEA_BLOCK_LEN])
{
    __real_xtea_decrypt(out, key, in);
    PUBLIC(out, XTEA_BLOCK_LEN);
}

/* An SPI is on the wire. */
void __wrap_xtea_encrypt(uint8_t out[XTEA_BLOCK_LEN],
                         const uint32_t key[XTEA_KEY_WORDS],
                         const uint8_t in[XTEA_BLOCK_LEN])
{
    __real_xtea_encrypt(out, key, in);
    PUBLIC(out, XTEA_BLOCK_LEN);
}

/* ---- A gateway --------------------------------------------------------- */

static const qcd_store_identity identity = {
    .len = 7, .octets = "machine", .product_len = 7, .product = "product"};

static qcd_store *open_store(const char *path)
{
    const qcd_store_settings settings = {
        .path = path, .identity = &identity, .node = NODE};
    qcd_store_report report;
    qcd_store *store = NULL;

    expect("open",
           qcd_store_open(&store, &report, &settings, 1000) == QCD_STORE_OK);
    if (store == NULL) {
        exit(1);
    }
    return store;
}

/* Without this, a test that has lost sight of the secrets would pass. */
static void expect_secret(const void *p, size_t len)
{
    uint8_t bits[64] = {0};

    assert(len <= sizeof(bits));
    if (VALGRIND_GET_VBITS(p, bits, len) != 0) { /* else not under valgrind */
        for (size_t i = 0; i < len; i++) {
            expect("secret", bits[i] == 0xff);
        }
    }
}

static void start_maker(qcd_store *store)
{
    static const qcd_maker_settings settings = {.node = NODE,
                                                .token_len = 32,
                                                .reply_rate = 1000,
                                                .reply_burst = 1000,
                                                .source_rate = 1000};
    qcd_maker_state state;
    qcd_store_report report;

    const qcd_secrets *secrets = qcd_store_secrets(store);

    expect_secret(secrets->seal_key, sizeof(secrets->seal_key));
    expect_secret(&secrets->generations[0], sizeof(secrets->generations[0]));
    expect("state", qcd_store_state(store, &report, &state) == QCD_STORE_OK);
    expect("maker", qcd_maker_init(&maker, &settings, &state) == QCD_OK);
    qcd_wipe(&state, sizeof(state));
    /* These keys choose cells of a table, and serve nothing else.  With them
     * somebody could make two sources share a limit. */
    PUBLIC(&maker.replies.sources.key, sizeof(qcd_hmac));
    PUBLIC(&maker.lost.key, sizeof(qcd_hmac));
}

static qcd_ike_sa mint_sa(void)
{
    qcd_ike_sa sa = {.role = QCD_INITIATOR};

    expect("mint", qcd_maker_mint(&maker, &sa.spis.initiator) == QCD_OK);
    memset(&sa.spis.responder, 7, sizeof(sa.spis.responder));
    return sa;
}

static void give(const qcd_ike_sa *sa, qcd_held *held)
{
    const qcd_offer offer = {.taker = peer};
    qcd_promise promise = {0};
    qcd_token token;

    expect("offer", qcd_maker_offer(&maker, &promise, &token, sa, &offer));
    qcd_taker_store(&taker, held, &token);
    qcd_maker_bury(&maker, sa, &promise);
}

/* A request of the responder for `sa`. */
static void ask(const qcd_ike_sa *sa, qcd_held *held)
{
    uint8_t octets[80] = {0};
    qcd_packet packet = {.octets = octets,
                         .len = sizeof(octets),
                         .source = peer,
                         .destination = peer};
    qcd_datagram reply;
    qcd_message message;
    qcd_header header;

    memcpy(octets, &sa->spis, sizeof(sa->spis));
    octets[16] = 46; /* an Encrypted payload */
    octets[17] = 0x20;
    octets[18] = 37; /* INFORMATIONAL */
    octets[27] = sizeof(octets);
    octets[31] = sizeof(octets) - 28;
    expect("judge", qcd_maker_judge(&maker, &header, &packet, 1) == QCD_ANSWER);
    expect("reply",
           qcd_maker_reply(&maker, &reply, &header, &peer, 1) == QCD_OK);
    expect("decode",
           qcd_message_decode(&message, reply.octets, reply.len) == QCD_OK);
    enum qcd_verdict verdict = qcd_taker_check(&taker, held, &message);
    PUBLIC(&verdict, sizeof(verdict)); /* the SA is dropped */
    expect("match", verdict == QCD_MATCH);
}

static void tell(const qcd_ike_sa *sa)
{
    const qcd_lost lost = {.sa = *sa,
                           .child_spi = {{1, 2, 3, 4}, QCD_ESP},
                           .peer = peer,
                           .peer_port = 500};
    qcd_datagram out;

    expect("judge lost",
           qcd_maker_judge_lost(&maker, &lost, NULL, 1) == QCD_ANSWER);
    expect("tell", qcd_maker_tell(&maker, &out, &lost, NULL, 1) == QCD_OK);
}

static void share(const char *from, const char *to)
{
    qcd_store_report report;
    qcd_secrets secrets;

    expect("share",
           qcd_store_share(&secrets, &report, from, &identity) == QCD_STORE_OK);
    for (int i = 0; i < 2; i++) { /* as new secrets, and as renewed ones */
        enum qcd_store_err err =
            qcd_store_import(&report, to, &secrets, &identity);
        expect(report.text, err == QCD_STORE_OK);
    }
    qcd_wipe(&secrets, sizeof(secrets));
}

int main(void)
{
    char folder[] = "/tmp/qcd-ct-XXXXXX";
    char path[64];
    char other[64];
    char command[96];
    qcd_held held_of_buried = {0};
    qcd_held held_of_lost = {0};

    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/a", folder);
    (void)snprintf(other, sizeof(other), "%s/b", folder);

    uint8_t random[QCD_RANDOM_KEY_LEN];
    if (__wrap_getentropy(random, sizeof(random)) != 0 ||
        qcd_taker_init(&taker, 1000, random) != QCD_OK) {
        return 1;
    }
    PUBLIC(&taker.sas.key, sizeof(qcd_hmac)); /* as above */

    qcd_store *store = open_store(path);
    qcd_store_report report;
    start_maker(store);
    const qcd_ike_sa buried = mint_sa();
    const qcd_ike_sa lost = mint_sa();
    give(&buried, &held_of_buried);
    give(&lost, &held_of_lost);
    ask(&buried, &held_of_buried);
    expect("rotate", qcd_store_rotate(store, &report, 2000) == QCD_STORE_OK);
    qcd_maker_rotate(&maker, &qcd_store_secrets(store)->generations[0]);
    expect("next run", qcd_store_next_run(store, &report) == QCD_STORE_OK);
    qcd_store_close(store);

    store = open_store(path); /* the secrets come from the file */
    start_maker(store);
    tell(&lost);
    ask(&lost, &held_of_lost);
    qcd_maker_wipe(&maker);
    qcd_store_close(store);
    share(path, other);

    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) != 0 || num_wrong != 0;
}
