/* SPDX-License-Identifier: Apache-2.0 */
/* qcd.h: RFC 6290, quick crash detection for IKEv2, as a library without I/O.
 *
 * libqcd turns octets into values and verdicts.  It opens no socket, reads no
 * clock, allocates nothing, starts no thread and logs nothing: the daemon that
 * embeds it passes time (milliseconds of a monotonic clock), random octets and
 * packets in, and does with the answers what it does.
 *
 * Two roles (RFC 6290 section 1.1), each a value that a daemon has one of:
 *
 *   qcd_maker  mints our IKE SPIs, hands each peer a token in IKE_AUTH and,
 *              after a crash, shows the tokens of SAs that are surely dead;
 *   qcd_taker  keeps digests of the peers' tokens, and tells whether one that
 *              is shown is among them.
 *
 * and two small ones for each IKE SA: qcd_promise, what its peer holds of us,
 * and qcd_held, what we hold of its peer.
 *
 * Every type is a value that the caller owns; members are visible for its size
 * and are the library's business alone, where a comment does not name them.
 * All-zero is a valid state of each.  No function keeps a pointer beyond its
 * return.  Functions on distinct objects may run in parallel; calls that share
 * an object which one of them changes (any parameter without const) are the
 * caller's to serialize.  API-CONVENTIONS.md has the rules in full. */
#ifndef QCD_QCD_H
#define QCD_QCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QCD_API __attribute__((visibility("default")))
#define QCD_NODISCARD __attribute__((warn_unused_result))
#else
#define QCD_API
#define QCD_NODISCARD
#endif

/* ---- Sizes ------------------------------------------------------------- */

#define QCD_SPI_LEN 8         /* octets of an IKE SPI */
#define QCD_HEADER_LEN 28     /* octets of an IKE header, RFC 7296 3.1 */
#define QCD_TOKEN_MIN 16      /* octets of a token, RFC 6290 section 5 */
#define QCD_TOKEN_MAX 128     /* likewise */
#define QCD_TOKEN_MADE_MAX 32 /* octets of a token that we make */
#define QCD_SECRET_LEN 32     /* octets of a QCD_SECRET, section 5.1 */
#define QCD_SEAL_KEY_LEN 16   /* octets of the key that seals SPIs */
#define QCD_RANDOM_KEY_LEN 32 /* octets of keys drawn anew by each process */
#define QCD_GENERATIONS_MAX 4 /* one secret in use, three earlier ones */
#define QCD_TOKENS_SENT_MAX 4 /* tokens in a message that we send */
#define QCD_TOKENS_READ_MAX 8 /* tokens of a message that are looked at */
#define QCD_HELD_MAX 4        /* tokens kept for one IKE SA, newest ones */

/* A reply is at most this times its request. */
#define QCD_AMPLIFICATION_MAX 3

/* Octets of the largest message that qcd_message_encode can make. */
#define QCD_MESSAGE_MAX                                                        \
    (QCD_HEADER_LEN + 12 + QCD_TOKENS_SENT_MAX * (8 + QCD_TOKEN_MAX))

/* ---- Errors ------------------------------------------------------------ */

/* Values are stable; new ones are appended.  On every error the outputs of the
 * call are all zero. */
enum qcd_err {
    QCD_OK = 0,
    QCD_ERR_TRUNCATED = -1, /* the octets end before the thing does */
    QCD_ERR_MALFORMED = -2, /* the octets break a rule of the format */
    QCD_ERR_NOBUF = -3,     /* the caller's buffer is too small */
    QCD_ERR_RANGE = -4,     /* a number is outside its documented range */
    QCD_ERR_EXHAUSTED = -5, /* this run has minted all its SPIs */
};

/* qcd_strerror returns a static English phrase for `err`, also for a value
 * that is none of the above; it never returns NULL. */
QCD_API const char *qcd_strerror(enum qcd_err err);

/* ---- Identities -------------------------------------------------------- */

/* qcd_spi is an IKE SPI as it stands in the header, in network order. */
typedef struct qcd_spi {
    uint8_t octets[QCD_SPI_LEN];
} qcd_spi;

/* qcd_spis names an IKE SA by the pair of its SPIs (RFC 6290 section 5.3). */
typedef struct qcd_spis {
    qcd_spi initiator;
    qcd_spi responder;
} qcd_spis;

/* qcd_role tells whose SPI of a pair is our own: that of the IKE SA's original
 * initiator or that of its original responder. */
enum qcd_role { QCD_INITIATOR = 1, QCD_RESPONDER = 2 };

/* qcd_ike_sa is an IKE SA of ours. */
typedef struct qcd_ike_sa {
    qcd_spis spis;
    enum qcd_role role;
} qcd_ike_sa;

/* qcd_ike_sa_local returns our SPI of the pair, and qcd_ike_sa_remote the
 * peer's. */
QCD_API const qcd_spi *qcd_ike_sa_local(const qcd_ike_sa *sa);
QCD_API const qcd_spi *qcd_ike_sa_remote(const qcd_ike_sa *sa);

#define QCD_CHILD_SPI_LEN 4 /* octets of a child SA's SPI */

/* qcd_child_spi names a child SA at the end that receives on it.  `protocol` is
 * QCD_ESP or QCD_AH (those of IP), or 0 where it is not told. */
enum { QCD_ESP = 50, QCD_AH = 51 };
typedef struct qcd_child_spi {
    uint8_t octets[QCD_CHILD_SPI_LEN];
    uint8_t protocol;
} qcd_child_spi;

/* qcd_address is an IP address without a port: `len` is 4 or 16, and octets
 * beyond `len` are not looked at.  Both members are the caller's to set. */
typedef struct qcd_address {
    uint8_t len;
    uint8_t octets[16];
} qcd_address;

/* qcd_token is a TOKEN_SECRET_DATA: `len` octets (RFC 6290 section 4.1).
 * It is a secret for as long as its IKE SA lives: wipe it after use. */
typedef struct qcd_token {
    uint8_t len;
    uint8_t octets[QCD_TOKEN_MAX];
} qcd_token;

/* qcd_wipe overwrites `len` octets at `p` in a way that a compiler does not
 * remove.  `p` may be NULL when `len` is 0. */
QCD_API void qcd_wipe(void *p, size_t len);

/* qcd_secret is a QCD_SECRET: random octets that outlive a crash. */
typedef struct qcd_secret {
    uint8_t octets[QCD_SECRET_LEN];
} qcd_secret;

/* qcd_datagram is a message of IKE that we send, without a non-ESP marker. */
typedef struct qcd_datagram {
    size_t len;
    uint8_t octets[QCD_MESSAGE_MAX];
} qcd_datagram;

#include <qcd/parts.h>

/* ---- The IKE header ---------------------------------------------------- */

enum {
    QCD_FLAG_INITIATOR = 0x08, /* sent by the SA's original initiator */
    QCD_FLAG_VERSION = 0x10,
    QCD_FLAG_RESPONSE = 0x20
};

/* qcd_header is an IKE header, RFC 7296 section 3.1, in host order. */
typedef struct qcd_header {
    qcd_spis spis;
    uint8_t next_payload;
    uint8_t version; /* major version in the upper four bits */
    uint8_t exchange_type;
    uint8_t flags;
    uint32_t message_id;
    uint32_t length; /* octets of the whole message, header included */
} qcd_header;

/* qcd_header_decode reads the header of the `in_len` octets of an IKE message
 * at `in`, which begin behind a non-ESP marker.
 *
 *   QCD_ERR_TRUNCATED  fewer than QCD_HEADER_LEN octets
 *   QCD_ERR_MALFORMED  the length field is not `in_len` */
QCD_API QCD_NODISCARD enum qcd_err
qcd_header_decode(qcd_header *out, const uint8_t *in, size_t in_len);

/* qcd_header_local_role tells which SPI of a received `header` is the
 * receiver's: that of the initiator where the sender says it is not. */
QCD_API enum qcd_role qcd_header_local_role(const qcd_header *header);

/* ---- The token maker ----------------------------------------------------- */

#define QCD_RATE_MAX 1000000 /* events a second */

/* qcd_takeover is what makes a gateway the standby of others, with which it
 * shares secrets (RFC 6290 section 6): their node numbers, and the address that
 * only the active one of them all holds. */
typedef struct qcd_takeover {
    uint64_t nodes[4];
    qcd_address address; /* the caller's to set */
} qcd_takeover;

/* qcd_takeover_add adds `node` to those that are taken over. */
QCD_API void qcd_takeover_add(qcd_takeover *takeover, uint8_t node);

/* qcd_maker_settings is how a maker works.  All members are the caller's to
 * set. */
typedef struct qcd_maker_settings {
    uint8_t node;          /* our number among those with the same secrets */
    uint8_t token_len;     /* octets, QCD_TOKEN_MIN to QCD_TOKEN_MADE_MAX */
    bool is_bound;         /* tokens are bound to the taker's address, 5.2 */
    uint32_t reply_rate;   /* replies a second to all peers together */
    uint32_t reply_burst;  /* the largest burst of them; 0: never reply */
    uint32_t source_rate;  /* a second to one source, IPv4 or an IPv6 /64 */
    qcd_takeover takeover; /* all zero where we are no standby */
} qcd_maker_settings;

/* qcd_maker_state is what a maker begins with: what outlived a crash, and fresh
 * random octets.  All members are the caller's to set, and to wipe. */
typedef struct qcd_maker_state {
    uint8_t seal_key[QCD_SEAL_KEY_LEN];
    size_t num_secrets; /* 1 to QCD_GENERATIONS_MAX, the newest first */
    qcd_secret secrets[QCD_GENERATIONS_MAX];
    uint16_t run; /* of this start of the daemon, not 0: it is durable, and
                     above that of all earlier ones with this seal key */
    uint8_t random[QCD_RANDOM_KEY_LEN];
} qcd_maker_state;

/* qcd_maker is a token maker.  It has some 860,000 octets: put it in static
 * memory, or on the heap. */
typedef struct qcd_maker {
    qcd_maker_settings settings;
    qcd_seal seal;
    qcd_mint mint;
    qcd_keys keys;
    qcd_graveyard graveyard;
    qcd_reply_limit replies;
    qcd_lost_limit lost;
} qcd_maker;

/* qcd_maker_init begins a process of the daemon.  Call it once, and don't fork
 * after it: a second maker with the same run mints the same SPIs, and one with
 * a later run takes live SAs of this process for dead.  So the settings hold
 * until the daemon is started again.
 *
 *   QCD_ERR_RANGE  a length, a rate, a number of secrets or a run out of its
 *                  range */
QCD_API QCD_NODISCARD enum qcd_err
qcd_maker_init(qcd_maker *out, const qcd_maker_settings *settings,
               const qcd_maker_state *state);

/* qcd_maker_wipe makes `maker` all zero. */
QCD_API void qcd_maker_wipe(qcd_maker *maker);

/* qcd_maker_mint mints the SPI of a new IKE SA: unpredictable to all who do not
 * hold the seal's key (RFC 6290 section 9.3), and never the same twice.  What
 * it says of itself is the evidence after a crash, so all SPIs of the daemon
 * come from here.
 *
 *   QCD_ERR_EXHAUSTED  the run has minted 2^24 of them: qcd_maker_next_run */
QCD_API QCD_NODISCARD enum qcd_err qcd_maker_mint(qcd_maker *maker,
                                                  qcd_spi *out);

/* qcd_maker_next_run goes on with the run number `run`, which is durable by
 * now.
 *
 *   QCD_ERR_RANGE  it is not above the current one; nothing is changed */
QCD_API QCD_NODISCARD enum qcd_err qcd_maker_next_run(qcd_maker *maker,
                                                      uint16_t run);

/* qcd_maker_run returns the number of the run whose SPIs are minted now. */
QCD_API uint16_t qcd_maker_run(const qcd_maker *maker);

/* qcd_maker_knows tells whether an SPI was sealed with our key, by whatever
 * node or run.  An SPI that a daemon draws itself, where it can't mint one,
 * must be none of these. */
QCD_API QCD_NODISCARD bool qcd_maker_knows(const qcd_maker *maker,
                                           const qcd_spi *spi);

/* qcd_maker_owns tells whether our SPI of `sa` was minted by this process. */
QCD_API QCD_NODISCARD bool qcd_maker_owns(const qcd_maker *maker,
                                          const qcd_ike_sa *sa);

/* qcd_promise is what a maker keeps with a live IKE SA: which token the peer
 * surely holds, and which one is on its way.  It is no secret.  A new IKE SA,
 * also one that replaces another by a rekeying, begins with one of all zero. */
typedef struct qcd_promise {
    bool is_given;
    bool is_sent;
    uint32_t message_id;
    qcd_pledge given;
    qcd_pledge sent;
} qcd_promise;

/* qcd_offer is a protected message that may carry a token. */
typedef struct qcd_offer {
    qcd_address taker; /* the peer's, without its port */
    bool is_request;   /* then the peer holds the token once it has answered */
    uint32_t message_id;
} qcd_offer;

/* qcd_maker_offer tells whether a token goes into the message `offer` of `sa`,
 * and which (RFC 6290 sections 4.2 to 4.4): where the peer holds none, or one
 * for another address, or one of a generation that is gone or the next to go.
 * Otherwise it SHOULD NOT be sent any.  An SA whose SPI this process has not
 * minted gets none: nobody could show it.  With false `out` is all zero. */
QCD_API QCD_NODISCARD bool qcd_maker_offer(const qcd_maker *maker,
                                           qcd_promise *promise, qcd_token *out,
                                           const qcd_ike_sa *sa,
                                           const qcd_offer *offer);

/* qcd_maker_is_due tells whether qcd_maker_offer would offer one now, to a peer
 * at `taker`. */
QCD_API bool qcd_maker_is_due(const qcd_maker *maker,
                              const qcd_promise *promise, const qcd_ike_sa *sa,
                              const qcd_address *taker);

/* qcd_promise_answered notes that the peer has answered the request with
 * `message_id`, and tells whether a token was in that. */
QCD_API bool qcd_promise_answered(qcd_promise *promise, uint32_t message_id);

/* qcd_maker_bury notes that `sa` is gone for good, so that a peer that missed
 * our DELETE is helped.  Call it only when no thread can use the SA any more,
 * and only for an SA whose local SPI will never be used again. */
QCD_API void qcd_maker_bury(qcd_maker *maker, const qcd_ike_sa *sa,
                            const qcd_promise *promise);

/* qcd_maker_is_last tells whether one more rotation would leave the peer with
 * a token that can't be made any more: it has to get a new one before. */
QCD_API bool qcd_maker_is_last(const qcd_maker *maker,
                               const qcd_promise *promise);

/* qcd_maker_age tells how many rotations ago the secret was the newest one of
 * which the peer holds a token, which it does. */
QCD_API uint32_t qcd_maker_age(const qcd_maker *maker,
                               const qcd_promise *promise);

/* qcd_maker_rotate makes `newest`, which is durable, the secret of new tokens,
 * and lets go of the oldest where there are QCD_GENERATIONS_MAX (RFC 6290
 * section 5.1). */
QCD_API void qcd_maker_rotate(qcd_maker *maker, const qcd_secret *newest);

/* ---- A request for an IKE SA that we don't have ---- */

/* qcd_judgement is what the maker does with a message for an unknown SA. */
enum qcd_judgement {
    QCD_SILENT_NO_REQUEST = 0,  /* no protected request, or a copy of one */
    QCD_SILENT_NO_EVIDENCE = 1, /* nothing proves that the SA is dead */
    QCD_SILENT_LIMIT = 2,       /* dead, but over the rate limits */
    QCD_ANSWER = 3,
    QCD_SILENT_TOLD = 4 /* of qcd_maker_judge_lost: dead, and told just now */
};

/* qcd_packet is a received message: `len` octets of IKE at `octets`, behind
 * a non-ESP marker, and between which addresses. */
typedef struct qcd_packet {
    const uint8_t *octets;
    size_t len;
    qcd_address source;
    qcd_address destination;
    bool is_home; /* the SA's peer is known to be at `source`: then it is
                     answered once in half a minute or more, whatever else that
                     source asks for */
} qcd_packet;

/* qcd_maker_judge decides on `packet`, received at `now_ms`, for which the
 * daemon has found no IKE SA.  Only a protected request of RFC 6290 section 3
 * is answered: IKE major version 2, R clear, both SPIs set, no IKE_SA_INIT, no
 * IKE_SESSION_RESUME; the first payload is SK or SKF, reaches to the end of the
 * message, and is at least as long as the shortest that any cipher makes.  Of
 * a fragmented request the first fragment is answered, so there is one answer
 * for each Message ID.  With QCD_ANSWER `out` is the header for
 * qcd_maker_reply, else all zero.  Before it sends, the daemon looks once more
 * whether it has such an SA, in either role.
 *
 * A token is shown only on positive evidence that its SA is dead (RFC 6290
 * section 9.2): our SPI says that it was minted by an earlier run of this node,
 * or by this one and the SA is buried, or by a node whose place we have taken,
 * and the request came to the address that only the active one has. */
QCD_API QCD_NODISCARD enum qcd_judgement
qcd_maker_judge(qcd_maker *maker, qcd_header *out, const qcd_packet *packet,
                uint64_t now_ms);

/* qcd_maker_reply builds at `now_ms` the reply to `request`, which
 * qcd_maker_judge gave, from the peer at `taker`: INVALID_IKE_SPI and a token
 * of each generation (RFC 6290 section 4.5), as many as fit under
 * QCD_AMPLIFICATION_MAX times the request's size.
 *
 * A taker must read four tokens, but some read the first one alone.  So the
 * first is that of another generation from one millisecond to the next: the
 * newest in half of the replies, each older one equally often in the other
 * half.  The rest follow, newest first.
 *
 *   QCD_ERR_NOBUF  not one token fits under the bound: send nothing */
QCD_API QCD_NODISCARD enum qcd_err qcd_maker_reply(const qcd_maker *maker,
                                                   qcd_datagram *out,
                                                   const qcd_header *request,
                                                   const qcd_address *taker,
                                                   uint64_t now_ms);

/* ---- ESP and AH of lost SAs, RFC 6290 section 8.2 ---- */

/* qcd_traffic is a packet of a child SA: AH, or ESP, alone or in UDP (RFC
 * 3948). */
typedef struct qcd_traffic {
    qcd_child_spi child_spi;
    bool encap; /* in UDP */
    qcd_address source;
    qcd_address destination;
    uint16_t source_port; /* of UDP, else 0 */
    uint16_t destination_port;
    size_t len; /* octets of ESP or AH itself, all that came in this packet */
} qcd_traffic;

/* qcd_traffic_decode reads the first `in_len` octets of an IP packet at `in`,
 * which may have been cut behind the SPI.  IPv6 extension headers before it,
 * eight at most, are passed over.  A first fragment is read, and counts as long
 * as it is.  `len` is what the packet says of itself; that so many octets
 * arrived is what the kernel has made sure of.
 *
 *   QCD_ERR_TRUNCATED  the octets end before the SPI does
 *   QCD_ERR_MALFORMED  no ESP or AH: another protocol, a later fragment, IKE or
 *                      a keepalive in UDP, the reserved SPIs 0 to 255, lengths
 *                      that can't be, IPv6 that is to be routed on, or from no
 *                      single host: multicast, broadcast, unspecified, IPv4 in
 *                      an IPv6 address */
QCD_API QCD_NODISCARD enum qcd_err
qcd_traffic_decode(qcd_traffic *out, const uint8_t *in, size_t in_len);

/* qcd_lost is a child SA that was lost in a crash, as the daemon's map has it.
 * All members are the caller's to set, to whatever the map says: what can't be
 * is judged QCD_SILENT_NO_EVIDENCE. */
typedef struct qcd_lost {
    qcd_ike_sa sa;           /* its IKE SA */
    qcd_child_spi child_spi; /* the inbound one */
    qcd_address peer;        /* where the peer was */
    uint16_t peer_port;      /* and the port of its IKE and ESP in UDP */
} qcd_lost;

/* qcd_maker_is_lost tells whether an IKE SA that a daemon's memory names is one
 * of an earlier run of this very node.  What such a map says is a hint; the
 * evidence is our SPI.  It may come from a disk as it is: of another role, or
 * with a zero SPI, it is no evidence. */
QCD_API QCD_NODISCARD bool qcd_maker_is_lost(const qcd_maker *maker,
                                             const qcd_ike_sa *sa);

/* qcd_maker_judge_lost decides, at `now_ms`, whether somebody is to be told
 * that `lost` is lost: whoever sent the packet `packet` with its child SPI
 * or, where `packet` is NULL, the peer, without being asked.  It needs the same
 * evidence as the answer to an IKE request.  The result is
 *
 *   QCD_SILENT_NO_REQUEST   the packet has no room for an answer with one token
 *
 *   QCD_SILENT_NO_EVIDENCE  nothing proves that the SA is dead, or where the
 *                           answer would go is no address
 *
 *   QCD_SILENT_TOLD         it was told just now: one answer a second for each
 *                           IKE SA, and two seconds after the last one where it
 *                           would go elsewhere than to where the peer was, so
 *                           that who repeats a peer's packets from elsewhere
 *                           can't hold back the answer to the peer
 *
 *   QCD_SILENT_LIMIT        over the rate limits; without being asked, that is
 *                           what all together have for those who ask again
 *
 *   QCD_ANSWER              only this counts against the limits; what nobody
 *                           asked for doesn't use up the SA's turn, as it may
 *                           go to where the peer is no more
 *
 * Before it sends, the daemon looks once more whether it has such an SA. */
QCD_API QCD_NODISCARD enum qcd_judgement
qcd_maker_judge_lost(qcd_maker *maker, const qcd_lost *lost,
                     const qcd_traffic *packet, uint64_t now_ms);

/* qcd_maker_tell builds at `now_ms` the message that tells of `lost`:
 * INVALID_SPI with the child SPI and a token of each generation, in the order
 * of qcd_maker_reply, with the IKE SA's SPIs in the header and no R flag.  It
 * goes to the source of `packet`, whose length bounds it as in qcd_maker_reply,
 * or where that is NULL to the peer.
 *
 *   QCD_ERR_NOBUF  as qcd_maker_reply */
QCD_API QCD_NODISCARD enum qcd_err
qcd_maker_tell(const qcd_maker *maker, qcd_datagram *out, const qcd_lost *lost,
               const qcd_traffic *packet, uint64_t now_ms);

/* ---- How fast to tell peers of lost SAs without being asked ------------- */

/* Handshakes at work, beyond which we wait. */
#define QCD_PACE_HALF_OPEN_MAX 32

/* qcd_pace tells a maker that has lost many SAs how fast to tell their peers
 * (RFC 6290 section 8.2), so that the handshakes that follow never outrun it:
 * it grows faster while few handshakes are at work, and halves its rate when
 * there are many.  Opaque. */
typedef struct qcd_pace {
    uint64_t rate_max;
    uint64_t rate;
    uint64_t credit;
    uint64_t last_ms;
    uint64_t cut_ms;
} qcd_pace;

/* qcd_pace_init begins at `now_ms`, with one message due at once and `rate_max`
 * a second at the most.
 *
 *   QCD_ERR_RANGE  `rate_max` above QCD_RATE_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_pace_init(qcd_pace *out, uint32_t rate_max, uint64_t now_ms);

/* qcd_pace_due tells how many messages may be sent now, while `num_half_open`
 * handshakes are at work.  They count as sent.  What is due is for 20 ms at the
 * most: who asks less often is slower.  Ask only while there is somebody to
 * tell: the rate grows with the time in which few handshakes are at work. */
QCD_API QCD_NODISCARD uint32_t qcd_pace_due(qcd_pace *pace,
                                            uint32_t num_half_open,
                                            uint64_t now_ms);

/* ---- The QCD_TOKEN notify ---------------------------------------------- */

#define QCD_NOTIFY_INVALID_IKE_SPI 4
#define QCD_NOTIFY_INVALID_SPI 11
#define QCD_NOTIFY_QUICK_CRASH_DETECTION 16419

/* qcd_notify_decode reads the body of one QCD_TOKEN notify payload: `in_len`
 * octets at `in` that begin at the Protocol ID.  Protocol ID is ignored
 * (RFC 7296 section 3.10; peers send 0 and 1).
 *
 *   QCD_ERR_TRUNCATED  the body ends before the token
 *   QCD_ERR_MALFORMED  another notify type, an SPI, a length that is not
 *                      QCD_TOKEN_MIN to QCD_TOKEN_MAX octets */
QCD_API QCD_NODISCARD enum qcd_err
qcd_notify_decode(qcd_token *out, const uint8_t *in, size_t in_len);

/* qcd_token_read takes the notification data of a QCD_TOKEN notify whose
 * headers the daemon has parsed already: `in_len` octets at `in`.
 *
 *   QCD_ERR_RANGE  not QCD_TOKEN_MIN to QCD_TOKEN_MAX octets */
QCD_API QCD_NODISCARD enum qcd_err
qcd_token_read(qcd_token *out, const uint8_t *in, size_t in_len);

/* ---- The unprotected messages, RFC 6290 section 4.5 --------------------- */

/* qcd_cause is the notify that comes with the tokens. */
enum qcd_cause {
    QCD_CAUSE_NONE = 0, /* tokens alone; accepted, never sent */
    QCD_CAUSE_INVALID_IKE_SPI = 1,
    QCD_CAUSE_INVALID_SPI = 2
};

/* qcd_message is an unprotected message with tokens.  All members are the
 * caller's to read, and to set for qcd_message_encode. */
typedef struct qcd_message {
    qcd_header header; /* next_payload and length are ignored when encoding */
    enum qcd_cause cause;
    qcd_child_spi child_spi; /* with QCD_CAUSE_INVALID_SPI, which tells no
                                protocol: 0 */
    size_t num_tokens;
    size_t num_skipped; /* tokens beyond QCD_TOKENS_READ_MAX, not looked at */
    qcd_token tokens[QCD_TOKENS_READ_MAX];
} qcd_message;

/* qcd_message_is_candidate tells whether the `in_len` octets at `in` can be an
 * unprotected message of RFC 6290 section 4.5: IKE major version 2, first
 * payload a notify in the clear, and no IKE_SA_INIT or IKE_SESSION_RESUME,
 * where notifies in the clear are ordinary.  It costs a few comparisons, so
 * that a daemon can put it in the path of every packet. */
QCD_API bool qcd_message_is_candidate(const uint8_t *in, size_t in_len);

/* qcd_message_decode reads an unprotected message.  Any number of tokens is
 * read: those beyond QCD_TOKENS_READ_MAX are counted and skipped.  A message
 * without a token is QCD_OK with num_tokens 0.  Unknown notifies and unknown
 * payloads without the critical bit are passed over.
 *
 *   QCD_ERR_TRUNCATED  a payload reaches beyond the message
 *   QCD_ERR_MALFORMED  qcd_message_is_candidate says no, a length field lies,
 *                      a payload is encrypted, an unknown one critical, or a
 *                      notify breaks its format */
QCD_API QCD_NODISCARD enum qcd_err
qcd_message_decode(qcd_message *out, const uint8_t *in, size_t in_len);

/* qcd_message_encode writes `message` with up to QCD_TOKENS_SENT_MAX tokens to
 * the `out_cap` octets at `out`: first the cause, then the tokens in their
 * order, each with Protocol ID 0 (erratum 3449) and SPI size 0.
 *
 *   QCD_ERR_NOBUF  more than `out_cap` octets
 *   QCD_ERR_RANGE  no such cause, QCD_CAUSE_NONE without a token, too many
 *                  tokens, or one with a length outside QCD_TOKEN_MIN to
 *                  QCD_TOKEN_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_message_encode(uint8_t *out, size_t *out_len, size_t out_cap,
                   const qcd_message *message);

/* ---- The token taker ----------------------------------------------------- */

/* Checks a second for all messages together that are over the limit of their
 * source.  One of a message with four tokens takes less than 1 us, so that all
 * of them cost one percent of a processor (bench/bench.c measures it). */
#define QCD_VERIFY_RATE_COMMON 10000

/* qcd_taker is a token taker.  It has some 132,000 octets. */
typedef struct qcd_taker {
    qcd_digest_key digests;
    qcd_verify_limit limit;
    qcd_spread spread;
} qcd_taker;

/* qcd_taker_init begins with QCD_RANDOM_KEY_LEN fresh random octets.
 * `source_rate` is how many messages about one IKE SA are checked a second, and
 * at once, from one source (an IPv4 address, an IPv6 /64); 0 lets none be
 * checked at all.  What is over it shares QCD_VERIFY_RATE_COMMON with all else
 * that is: messages that are forged in a peer's name about one of its SAs hold
 * back no token of the others, and hold back that SA's own only where they are
 * more than both rates together (RFC 6290 sections 8.1 and 8.2).
 *
 *   QCD_ERR_RANGE  a rate above QCD_RATE_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_taker_init(qcd_taker *out, uint32_t source_rate,
               const uint8_t random[QCD_RANDOM_KEY_LEN]);

/* qcd_taker_wipe makes `taker` all zero. */
QCD_API void qcd_taker_wipe(qcd_taker *taker);

#define QCD_DIGEST_LEN 16

/* qcd_held is what a taker stores with an IKE SA: keyed digests of the peer's
 * latest QCD_HELD_MAX tokens (RFC 6290 sections 3 and 5), and whether one was
 * shown already.  `num` tells how many. */
typedef struct qcd_held {
    uint8_t num;
    uint8_t next;
    bool is_shown;
    uint8_t digests[QCD_HELD_MAX][QCD_DIGEST_LEN];
} qcd_held;

/* qcd_taker_store notes `token`, received in a protected message, and lets go
 * of the oldest where QCD_HELD_MAX are held.  A token that is held already
 * changes nothing. */
QCD_API void qcd_taker_store(const qcd_taker *taker, qcd_held *held,
                             const qcd_token *token);

/* qcd_verdict is what an unprotected message with tokens proves. */
enum qcd_verdict {
    QCD_NO_MATCH = 0, /* nothing: not one token is held */
    QCD_MATCH = 1,    /* the peer has lost the SA: delete it, silently */
    QCD_MATCHED = 2,  /* likewise, but an earlier message has said so */
};

/* qcd_taker_may_check counts a message from `source`, received at `now_ms`,
 * that is about the IKE SA `spis`, and tells whether its tokens may be checked.
 * Call it only for an SA that there is and whose peer gave a token: messages
 * about others cost nothing and must not use the limit up. */
QCD_API QCD_NODISCARD bool qcd_taker_may_check(qcd_taker *taker,
                                               const qcd_address *source,
                                               const qcd_spis *spis,
                                               uint64_t now_ms);

/* qcd_taker_check tells whether any token of `message` is held.  The time it
 * takes tells nothing of what is held.  It does not look at the message's SPIs:
 * the caller found `held` by them, or by the child SPI of
 * QCD_CAUSE_INVALID_SPI. */
QCD_API QCD_NODISCARD enum qcd_verdict
qcd_taker_check(const qcd_taker *taker, qcd_held *held,
                const qcd_message *message);

#define QCD_SPREAD_MS 5         /* between two recoveries of many, on average */
#define QCD_SPREAD_MAX_MS 10000 /* longest delay of a recovery */

/* qcd_taker_delay returns by how many milliseconds the recovery of one more SA
 * is to be delayed, so that a taker that has lost thousands of SAs at once does
 * not come back with all of them in the same millisecond: 0 for the first one,
 * for those that follow a random part of the time that all of them take.
 * `random` is 32 random bits. */
QCD_API uint32_t qcd_taker_delay(qcd_taker *taker, uint32_t random,
                                 uint64_t now_ms);

/* ---- When a taker tries again ---- */

/* qcd_retry paces the tries of one recovery: from the token that was verified
 * until the tunnel is up, whoever brought it up.  The gap between two tries is
 * 250 ms at first and then an eighth of the time since the first one, so that
 * a tunnel is down for an eighth longer than it has to be; it ends at 30 s, and
 * at 5 min for a peer that has refused for an hour.  Opaque, but for
 * `num_tries`. */
typedef struct qcd_retry {
    uint64_t begun_ms;
    uint64_t last_ms;
    uint64_t refused_ms;
    uint32_t num_tries;
    uint32_t num_crashes;
    bool is_refused;
} qcd_retry;

/* qcd_failure is what became of a try. */
enum qcd_failure {
    QCD_FAILURE_SILENT = 0,  /* no answer, or not within its time */
    QCD_FAILURE_REFUSED = 1, /* the peer or we refused: not configured, no key,
                                or an IKE SA without its child SAs */
    QCD_FAILURE_CRASHED = 2, /* the peer lost it: before it was up, or within
                                QCD_STABLE_MS and nothing had come in on it */
    QCD_FAILURE_LOST = 3,    /* the peer lost it within QCD_STABLE_MS, but it
                                had been used */
};

#define QCD_STABLE_MS 2000

/* qcd_retry_init begins a recovery: the first try is due at `now_ms`. */
QCD_API void qcd_retry_init(qcd_retry *out, uint64_t now_ms);

/* qcd_retry_try notes that a try begins at `now_ms`. */
QCD_API void qcd_retry_try(qcd_retry *retry, uint64_t now_ms);

/* qcd_retry_fail notes at `now_ms` that the last try failed.  A peer that our
 * handshakes crash must not be brought down by them for good: systemd gives up
 * a daemon that it has to start more than five times within ten seconds.
 *
 *   QCD_FAILURE_CRASHED  the next try is due a second after the last one began,
 *                        from the third crash in a row on after 4 s, 8 s, 16 s
 *                        and then 30 s
 *   QCD_FAILURE_LOST     another outage, that our handshake did not cause: the
 *                        gaps begin at 250 ms again */
QCD_API void qcd_retry_fail(qcd_retry *retry, enum qcd_failure failure,
                            uint64_t now_ms);

/* qcd_retry_hasten lets the gaps begin at 250 ms again: something has changed,
 * such as a route, an address or the configuration.  Crashes still count. */
QCD_API void qcd_retry_hasten(qcd_retry *retry, uint64_t now_ms);

/* qcd_retry_due returns when the next try is due, in milliseconds of the same
 * clock.  `random` is 32 random bits, by which the gap is up to a quarter
 * shorter. */
QCD_API uint64_t qcd_retry_due(const qcd_retry *retry, uint32_t random);

#ifdef __cplusplus
}
#endif

#endif
