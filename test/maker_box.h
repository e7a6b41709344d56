/* SPDX-License-Identifier: Apache-2.0 */
/* maker_box.h: shared by the tests of src/maker.c: a maker that has been
 * restarted, all kinds of SPIs that it may encounter, the messages that it
 * makes, and what these show. */
#ifndef QCD_MAKER_BOX_H
#define QCD_MAKER_BOX_H

#include "parts.h"
#include "test.h"

enum { NODE = 7, FIRST_RUN = 10, RUN = 12, START_MS = 123456789 };
enum { TOKEN_LEN = 32, PEER_PORT = 4500 };

extern qcd_maker maker;
extern const qcd_address peer;
extern const qcd_address stranger;

/* MAKER_TEST is a test that begins with a new `maker`. */
#define MAKER_TEST(test) cmocka_unit_test_setup(test, maker_set_up)

/* maker_set_up makes `maker` a maker of node NODE whose process began with
 * FIRST_RUN and is in RUN.  It has all generations, and limits that are too
 * high to matter. */
int maker_set_up(void **state);

/* set_limits resets the limits of all replies and of lost SAs. */
void set_limits(uint32_t rate, uint32_t burst, uint32_t rate_source);

/* set_generations reduces the secrets of `maker` to the first `num`. */
void set_generations(size_t num);

/* What an SPI is to `maker`.  A buried one is live except for the graveyard. */
enum which {
    PEER,
    ZERO,
    DEAD,
    LIVE,
    OLDER_LIVE,
    BURIED,
    FUTURE,
    OTHER_NODE,
    NUM_SPIS
};

extern const char *const which_names[NUM_SPIS];

/* spi_which returns an SPI of that kind, always the same one. */
qcd_spi spi_which(enum which which);

/* sealed returns an SPI with the key of `maker`, of any origin. */
qcd_spi sealed(uint8_t node, uint16_t run, uint32_t counter);

/* dead_spi returns number `n` of the SPIs that died with their run. */
qcd_spi dead_spi(uint32_t n);

/* spis_of returns the SPIs of an SA in which `local` is ours, in `role`. */
qcd_spis spis_of(enum qcd_role role, qcd_spi local, qcd_spi remote);

/* token_of returns the maker's token of a generation, bound to `taker` unless
 * that is NULL. */
qcd_token token_of(const qcd_address *taker, size_t len, size_t generation,
                   const qcd_ike_sa *sa);

/* dead_request returns the header of a request of the original initiator, for
 * an SA that died with its run. */
qcd_header dead_request(void);

/* datagram writes `h` and `len` - 28 octets after it, beginning with those of
 * `body`.  If that is NULL, it writes an Encrypted payload that fills the
 * message.  free() the result. */
uint8_t *datagram(const qcd_header *h, const void *body, size_t body_len,
                  size_t len);

/* judge_request judges a packet that came from `peer`. */
enum qcd_judgement judge_request(qcd_header *out, const uint8_t *in,
                                 size_t in_len);

/* judge_header judges a request of `len` octets with the header `h`, filled by
 * an Encrypted payload. */
enum qcd_judgement judge_header(qcd_header *out, const qcd_header *h,
                                size_t len);

/* reply builds a reply with tokens of `token_len`, bound to `taker` unless
 * NULL. */
enum qcd_err reply(qcd_datagram *out, const qcd_header *request,
                   const qcd_address *taker, uint8_t token_len,
                   uint64_t now_ms);

/* lost_in returns a child of an SA that died with its run, and in which we had
 * `role`. */
qcd_lost lost_in(enum qcd_role role);

/* tell builds the message for a lost SA to `taker`, NULL if tokens are not
 * bound, for a packet of `packet_len` octets, NOT_ASKED for no packet. */
#define NOT_ASKED SIZE_MAX
enum qcd_err tell(qcd_datagram *out, const qcd_lost *lost,
                  const qcd_address *taker, uint8_t token_len,
                  size_t packet_len);

/* shows tells whether the octets of `token` are in the message. */
bool shows(const qcd_datagram *out, const qcd_token *token);

/* shown_first checks that after its first token, `m` shows the newest of the
 * other generations in order.  It returns the generation of the first token. */
size_t shown_first(const qcd_message *m, enum qcd_role role);

/* message_row has the arguments for a message, and the expected result. */
typedef struct message_row {
    const char *name;
    uint8_t token_len;
    uint8_t address_len; /* 0xff: not bound */
    size_t asked_len;    /* of what the message replies to */
    enum qcd_err want;
} message_row;

typedef enum qcd_err make_message(qcd_datagram *out, const qcd_address *taker,
                                  uint8_t token_len, size_t asked_len);

/* check_messages makes a message for each row, and for the rows that all kinds
 * of messages have in common. */
void check_messages(make_message *make, const message_row *rows, size_t num);

#endif
