/* SPDX-License-Identifier: Apache-2.0 */
/* qcd.h: RFC 6290, quick crash detection for IKEv2, as a library without I/O.
 *
 * libqcd turns octets into values and verdicts.  It opens no socket, reads no
 * clock, allocates no memory, starts no thread and logs nothing.  The daemon
 * that embeds it passes in time (milliseconds of a monotonic clock), random
 * octets and packets, and acts on the results.
 *
 * There are two roles (RFC 6290 section 1.1).  A daemon has one value for each:
 *
 *   qcd_maker  mints our IKE SPIs and gives each peer a token in IKE_AUTH.
 *              After a crash it shows the tokens of SAs that are surely dead;
 *   qcd_taker  keeps digests of the peers' tokens and tells whether a token
 *              that it is shown is among them.
 *
 * Each IKE SA has two small values: qcd_promise is what its peer holds of us,
 * and qcd_held is what we hold of its peer.
 *
 * The caller owns every value.  Members are visible so that the compiler knows
 * the size; they belong to the library unless a comment names them.  All-zero
 * is a valid state of each type.  No function keeps a pointer after it returns.
 * Functions on distinct objects may run in parallel.  The caller must serialize
 * calls that share an object which one of them changes (any parameter without
 * const).  API-CONVENTIONS.md has the rules in full. */
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
#define QCD_RANDOM_KEY_LEN 32 /* octets of keys that each process draws */
#define QCD_GENERATIONS_MAX 4 /* one secret in use, three earlier ones */
#define QCD_TOKENS_SENT_MAX 4 /* most tokens in a message that we send */
#define QCD_TOKENS_READ_MAX 8 /* most tokens that we read from a message */
#define QCD_HELD_MAX 4        /* tokens kept for one IKE SA, the newest */

/* A reply has at most this many times the octets of its request. */
#define QCD_AMPLIFICATION_MAX 3

/* Octets of the longest message that qcd_message_encode can make. */
#define QCD_MESSAGE_MAX                                                        \
    (QCD_HEADER_LEN + 12 + QCD_TOKENS_SENT_MAX * (8 + QCD_TOKEN_MAX))

/* ---- Errors ------------------------------------------------------------ */

/* Values are stable; new ones are appended.  On every error the outputs of the
 * call are all zero. */
enum qcd_err {
    QCD_OK = 0,
    QCD_ERR_TRUNCATED = -1, /* the octets end too early */
    QCD_ERR_MALFORMED = -2, /* the octets break a rule of the format */
    QCD_ERR_NOBUF = -3,     /* the caller's buffer is too small */
    QCD_ERR_RANGE = -4,     /* a number is out of its documented range */
    QCD_ERR_EXHAUSTED = -5, /* this run has minted all its SPIs */
};

/* ---- Identities -------------------------------------------------------- */

/* qcd_spi is an IKE SPI as it appears in the header, in network order. */
typedef struct qcd_spi {
    uint8_t octets[QCD_SPI_LEN];
} qcd_spi;

/* qcd_spis names an IKE SA by the pair of its SPIs (RFC 6290 section 5.3). */
typedef struct qcd_spis {
    qcd_spi initiator;
    qcd_spi responder;
} qcd_spis;

/* qcd_role tells which SPI of a pair is ours: that of the IKE SA's original
 * initiator or that of its original responder. */
enum qcd_role { QCD_INITIATOR = 1, QCD_RESPONDER = 2 };

/* qcd_ike_sa is one of our IKE SAs.  The initiator of a rekeying is the
 * original initiator of the SA that follows, whoever began the old one. */
typedef struct qcd_ike_sa {
    qcd_spis spis;
    enum qcd_role role;
} qcd_ike_sa;

/* qcd_ike_sa_local returns our SPI of the pair.  qcd_ike_sa_remote returns the
 * peer's. */
QCD_API const qcd_spi *qcd_ike_sa_local(const qcd_ike_sa *sa);
QCD_API const qcd_spi *qcd_ike_sa_remote(const qcd_ike_sa *sa);

#define QCD_CHILD_SPI_LEN 4 /* octets of a child SA's SPI */

/* qcd_child_spi names a child SA at the end that receives on it.  `protocol` is
 * an IP protocol number, QCD_ESP or QCD_AH, or 0 if it is not known. */
enum { QCD_ESP = 50, QCD_AH = 51 };
typedef struct qcd_child_spi {
    uint8_t octets[QCD_CHILD_SPI_LEN];
    uint8_t protocol;
} qcd_child_spi;

/* qcd_address is an IP address without a port.  `len` is 4 or 16; octets beyond
 * `len` are ignored.  The caller may set both members. */
typedef struct qcd_address {
    uint8_t len;
    uint8_t octets[16];
} qcd_address;

/* qcd_token is a TOKEN_SECRET_DATA: `len` octets (RFC 6290 section 4.1).  It is
 * secret for as long as its IKE SA lives: wipe it after use. */
typedef struct qcd_token {
    uint8_t len;
    uint8_t octets[QCD_TOKEN_MAX];
} qcd_token;

/* qcd_wipe overwrites `len` octets at `p` with zeros, in a way that a compiler
 * does not remove.  `p` may be NULL if `len` is 0. */
QCD_API void qcd_wipe(void *p, size_t len);

/* qcd_secret is a QCD_SECRET: random octets that outlive a crash. */
typedef struct qcd_secret {
    uint8_t octets[QCD_SECRET_LEN];
} qcd_secret;

/* qcd_datagram is an IKE message that we send, without a non-ESP marker. */
typedef struct qcd_datagram {
    size_t len;
    uint8_t octets[QCD_MESSAGE_MAX];
} qcd_datagram;

#include <qcd/parts.h>

/* ---- The IKE header ---------------------------------------------------- */

enum {
    QCD_FLAG_INITIATOR = 0x08, /* sent by the SA's original initiator */
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

/* qcd_header_decode reads the header of an IKE message: `in_len` octets at
 * `in`, without a non-ESP marker before them.
 *
 *   QCD_ERR_TRUNCATED  there are fewer than QCD_HEADER_LEN octets
 *   QCD_ERR_MALFORMED  the length field is not `in_len` */
QCD_API QCD_NODISCARD enum qcd_err
qcd_header_decode(qcd_header *out, const uint8_t *in, size_t in_len);

/* qcd_header_local_role tells which SPI of a received `header` is the
 * receiver's.  It is the original initiator's, unless the sender is the
 * original initiator. */
QCD_API enum qcd_role qcd_header_local_role(const qcd_header *header);

/* ---- The token maker --------------------------------------------------- */

#define QCD_RATE_MAX 1000000 /* events a second */

/* qcd_takeover makes a gateway the standby of others with which it shares
 * secrets (RFC 6290 section 6).  It has their node numbers, and the address
 * that only the active gateway of the group holds. */
typedef struct qcd_takeover {
    uint64_t nodes[4];
    qcd_address address; /* the caller's to set */
} qcd_takeover;

/* qcd_takeover_add adds `node` to the nodes that are taken over. */
QCD_API void qcd_takeover_add(qcd_takeover *takeover, uint8_t node);

/* qcd_maker_settings tells how a maker works.  The caller sets all members. */
typedef struct qcd_maker_settings {
    uint8_t node;          /* our number in the group with these secrets */
    uint8_t token_len;     /* octets, QCD_TOKEN_MIN to QCD_TOKEN_MADE_MAX */
    bool is_bound;         /* bind tokens to the taker's address, section 5.2 */
    uint32_t reply_rate;   /* replies a second to all peers together */
    uint32_t reply_burst;  /* and the burst; 0 disables replies */
    uint32_t source_rate;  /* a second to one source: IPv4, or an IPv6 /64 */
    qcd_takeover takeover; /* all zero if we are no standby */
} qcd_maker_settings;

/* qcd_maker_state is what a maker starts with: what outlived the crash, and
 * fresh random octets.  The caller sets all members, and wipes them. */
typedef struct qcd_maker_state {
    uint8_t seal_key[QCD_SEAL_KEY_LEN];
    size_t num_secrets; /* 1 to QCD_GENERATIONS_MAX, the newest first */
    qcd_secret secrets[QCD_GENERATIONS_MAX];
    uint16_t run; /* of this start of the daemon, not 0.  It is durable, and
                   * above that of all earlier runs with this sealing key */
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
    qcd_source_limit lost; /* one reply a second to each lost SA */
} qcd_maker;

/* qcd_maker_init initializes the maker of a process.  Call it once, and don't
 * fork after it: a second maker with the same run mints the same SPIs, and one
 * with a later run takes live SAs of this process for dead.  So the settings
 * hold until the daemon is started again.
 *
 *   QCD_ERR_RANGE  a length, a rate, the number of secrets or the run is out of
 *                  range */
QCD_API QCD_NODISCARD enum qcd_err
qcd_maker_init(qcd_maker *out, const qcd_maker_settings *settings,
               const qcd_maker_state *state);

/* qcd_maker_wipe makes `maker` all zero. */
QCD_API void qcd_maker_wipe(qcd_maker *maker);

/* qcd_maker_mint mints the SPI of a new IKE SA.  It is never the same twice,
 * and nobody without the sealing key can predict it (RFC 6290 section 9.3).
 * What the SPI says of itself is the evidence after a crash, so the daemon must
 * take all its SPIs from here.
 *
 *   QCD_ERR_EXHAUSTED  the run has minted 2^24 SPIs: call qcd_maker_next_run */
QCD_API QCD_NODISCARD enum qcd_err qcd_maker_mint(qcd_maker *maker,
                                                  qcd_spi *out);

/* qcd_maker_next_run continues with the run number `run`, which must be durable
 * already.
 *
 *   QCD_ERR_RANGE  `run` is not above the current run; nothing is changed */
QCD_API QCD_NODISCARD enum qcd_err qcd_maker_next_run(qcd_maker *maker,
                                                      uint16_t run);

/* qcd_maker_run returns the number of the run whose SPIs are minted now. */
QCD_API uint16_t qcd_maker_run(const qcd_maker *maker);

/* qcd_maker_knows tells whether an SPI was sealed with our key, by any node and
 * any run.  If a daemon can't mint an SPI and draws one itself, it must not use
 * an SPI for which this is true. */
QCD_API QCD_NODISCARD bool qcd_maker_knows(const qcd_maker *maker,
                                           const qcd_spi *spi);

/* qcd_maker_owns tells whether our SPI of `sa` was minted by this process. */
QCD_API QCD_NODISCARD bool qcd_maker_owns(const qcd_maker *maker,
                                          const qcd_ike_sa *sa);

/* qcd_promise is what a maker keeps with a live IKE SA: which token the peer
 * surely holds, and which one is on its way.  It is not secret.  A new IKE SA,
 * also one that replaces another by a rekeying, starts with one of all zero. */
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
    bool is_request;   /* then the peer holds the token when it has responded */
    uint32_t message_id; /* of a request */
} qcd_offer;

/* qcd_maker_offer tells whether a token goes into the message `offer` of `sa`,
 * and which one (RFC 6290 sections 4.2 to 4.4).  A token is due if the peer
 * holds none, if its token is bound to another address, or if the generation of
 * its token is gone or the next to go.  In all other cases the peer SHOULD NOT
 * be sent one.  An SA whose SPI this process has not minted gets no token:
 * nobody could show it.  If the result is false, `out` is all zero. */
QCD_API QCD_NODISCARD bool qcd_maker_offer(const qcd_maker *maker,
                                           qcd_promise *promise, qcd_token *out,
                                           const qcd_ike_sa *sa,
                                           const qcd_offer *offer);

/* qcd_maker_is_due tells whether qcd_maker_offer would offer a token now to a
 * peer at `taker`. */
QCD_API bool qcd_maker_is_due(const qcd_maker *maker,
                              const qcd_promise *promise, const qcd_ike_sa *sa,
                              const qcd_address *taker);

/* qcd_promise_answered records that the peer has responded to the request with
 * `message_id`.  It tells whether that request had a token. */
QCD_API bool qcd_promise_answered(qcd_promise *promise, uint32_t message_id);

/* qcd_maker_bury records that `sa` is gone for good, to help a peer that missed
 * our DELETE.  Call it only if no thread can use the SA any more and its local
 * SPI will never be used again. */
QCD_API void qcd_maker_bury(qcd_maker *maker, const qcd_ike_sa *sa,
                            const qcd_promise *promise);

/* qcd_maker_is_last tells whether one more rotation would leave the peer with a
 * token that can't be made any more.  The peer must get a new token before that
 * rotation. */
QCD_API bool qcd_maker_is_last(const qcd_maker *maker,
                               const qcd_promise *promise);

/* qcd_maker_age returns how many rotations ago the secret of the peer's token
 * was the newest.  The peer must hold a token. */
QCD_API uint32_t qcd_maker_age(const qcd_maker *maker,
                               const qcd_promise *promise);

/* qcd_maker_rotate makes `newest`, which must be durable already, the secret of
 * new tokens.  It drops the oldest secret if there are QCD_GENERATIONS_MAX (RFC
 * 6290 section 5.1). */
QCD_API void qcd_maker_rotate(qcd_maker *maker, const qcd_secret *newest);

/* ---- A request for an IKE SA that we don't have ------------------------ */

/* qcd_judgement is the maker's decision about a message for an unknown SA. */
enum qcd_judgement {
    QCD_SILENT_NO_REQUEST = 0,  /* not a protected request, or a copy of one */
    QCD_SILENT_NO_EVIDENCE = 1, /* nothing proves that the SA is dead */
    QCD_SILENT_LIMIT = 2,       /* the SA is dead, but over the rate limits */
    QCD_ANSWER = 3,
    QCD_SILENT_TOLD = 4 /* from qcd_maker_judge_lost: dead, told just now */
};

/* qcd_packet is a received IKE message: `len` octets at `octets`, without a
 * non-ESP marker, and its two addresses. */
typedef struct qcd_packet {
    const uint8_t *octets;
    size_t len;
    qcd_address source;
    qcd_address destination;
    bool is_home; /* the SA's peer is known to be at `source`: then the SA gets
                   * one reply in half a minute or more, whatever else that
                   * source asks for */
} qcd_packet;

/* qcd_maker_judge decides about `packet`, received at `now_ms`, for which the
 * daemon has found no IKE SA.  Only a protected request of RFC 6290 section 3
 * gets a reply: it has IKE major version 2, R clear and both SPIs set, and is
 * neither IKE_SA_INIT nor IKE_SESSION_RESUME.  Its first payload is SK or SKF,
 * reaches to the end of the message, and is at least as long as the shortest
 * that any cipher makes.  If a request is fragmented, only its first fragment
 * gets a reply, so there is one reply for each Message ID.  With QCD_ANSWER
 * `out` is the header for qcd_maker_reply; otherwise it is all zero.  Before
 * sending, the daemon must check again that it has no such SA, in either role.
 *
 * A token is shown only on positive evidence that its SA is dead (RFC 6290
 * section 9.2).  Our SPI is that evidence in three cases:
 *
 *   - an earlier run of this node minted it;
 *   - this run minted it, and the SA is buried;
 *   - a node whose place we have taken minted it, and the request came to the
 *     address that only the active gateway has. */
QCD_API QCD_NODISCARD enum qcd_judgement
qcd_maker_judge(qcd_maker *maker, qcd_header *out, const qcd_packet *packet,
                uint64_t now_ms);

/* qcd_maker_reply builds at `now_ms` the reply to `request`, which came from
 * the peer at `taker` and which qcd_maker_judge returned.  The reply has
 * INVALID_IKE_SPI and a token of each generation (RFC 6290 section 4.5), as
 * many as fit into QCD_AMPLIFICATION_MAX times the request's size.
 *
 * A taker must read four tokens, but some read only the first.  So the
 * generation of the first token changes from one millisecond to the next: it is
 * the newest in half of the replies, and each older one equally often in the
 * other half.  The others follow, newest first.
 *
 *   QCD_ERR_NOBUF  not even one token fits: send nothing */
QCD_API QCD_NODISCARD enum qcd_err qcd_maker_reply(const qcd_maker *maker,
                                                   qcd_datagram *out,
                                                   const qcd_header *request,
                                                   const qcd_address *taker,
                                                   uint64_t now_ms);

/* ---- ESP and AH of lost SAs, RFC 6290 section 8.2 ---------------------- */

/* qcd_traffic is a packet of a child SA: AH, or ESP, alone or in UDP (RFC
 * 3948). */
typedef struct qcd_traffic {
    qcd_child_spi child_spi;
    bool encap; /* in UDP */
    qcd_address source;
    qcd_address destination;
    uint16_t source_port; /* of UDP, else 0 */
    uint16_t destination_port;
    size_t len; /* octets of ESP or AH itself that came in this packet */
} qcd_traffic;

/* qcd_traffic_decode reads the first `in_len` octets of an IP packet at `in`.
 * The packet may be cut off after the SPI.  Up to eight IPv6 extension headers
 * before the SPI are skipped.  A first fragment is accepted; `len` is that
 * fragment's length.  `len` comes from the packet's own length field; the
 * kernel has made sure that so many octets arrived.
 *
 *   QCD_ERR_TRUNCATED  the octets end before the SPI does
 *   QCD_ERR_MALFORMED  not ESP or AH: another protocol, a later fragment, IKE
 *                      or a keepalive in UDP, the reserved SPIs 0 to 255,
 *                      impossible lengths, or IPv6 that is to be routed on.  Or
 *                      the source is no single host: multicast, broadcast,
 *                      unspecified, or IPv4 in an IPv6 address */
QCD_API QCD_NODISCARD enum qcd_err
qcd_traffic_decode(qcd_traffic *out, const uint8_t *in, size_t in_len);

/* qcd_lost is a child SA that was lost in a crash, as the daemon's map has it.
 * The caller sets all members to whatever the map says.  Impossible values are
 * judged QCD_SILENT_NO_EVIDENCE. */
typedef struct qcd_lost {
    qcd_ike_sa sa;           /* its IKE SA */
    qcd_child_spi child_spi; /* the inbound one */
    qcd_address peer;        /* the peer's last known address */
    uint16_t peer_port;      /* and the port of its IKE and ESP in UDP */
} qcd_lost;

/* qcd_maker_is_lost tells whether an IKE SA from a daemon's map is one of an
 * earlier run of this node.  The map is a hint; the evidence is our SPI.  `sa`
 * may be unchecked disk content: an invalid role or a zero SPI is no
 * evidence. */
QCD_API QCD_NODISCARD bool qcd_maker_is_lost(const qcd_maker *maker,
                                             const qcd_ike_sa *sa);

/* qcd_maker_judge_lost decides at `now_ms` whether to send a message about
 * `lost`.  With `packet`, a packet with the child SPI of `lost`, the message is
 * a reply to the packet's sender.  If `packet` is NULL it is an announcement to
 * the peer.  Both need the same evidence as the reply to an IKE request.  The
 * result is
 *
 *   QCD_SILENT_NO_REQUEST   the packet is too short for a reply with one token
 *   QCD_SILENT_NO_EVIDENCE  nothing proves that the SA is dead, or the address
 *                           to send to is invalid
 *   QCD_SILENT_TOLD         a message about the SA was sent just now.  Each IKE
 *                           SA gets one reply a second.  A reply that would not
 *                           go to the peer's last known address must wait two
 *                           seconds after the last one.  So a host that repeats
 *                           the peer's packets from elsewhere can't hold back
 *                           the reply to the peer
 *   QCD_SILENT_LIMIT        over the rate limits.  An announcement is over them
 *                           only if they are zero: qcd_pace limits it
 *   QCD_ANSWER              send it.  Only this result counts against the
 *                           limits.  An announcement does not count against the
 *                           SA's one reply a second: the peer may have left the
 *                           address that it goes to
 *
 * Before sending, the daemon must check again that it has no such SA. */
QCD_API QCD_NODISCARD enum qcd_judgement
qcd_maker_judge_lost(qcd_maker *maker, const qcd_lost *lost,
                     const qcd_traffic *packet, uint64_t now_ms);

/* qcd_maker_tell builds at `now_ms` the message about `lost`.  It has
 * INVALID_SPI with the child SPI and a token of each generation, in the order
 * of qcd_maker_reply.  The header has the IKE SA's SPIs and no R flag.  The
 * message goes to the source of `packet`, whose length bounds it as in
 * qcd_maker_reply.  If `packet` is NULL it goes to the peer.
 *
 *   QCD_ERR_NOBUF  as for qcd_maker_reply */
QCD_API QCD_NODISCARD enum qcd_err
qcd_maker_tell(const qcd_maker *maker, qcd_datagram *out, const qcd_lost *lost,
               const qcd_traffic *packet, uint64_t now_ms);

/* ---- How many peers re-establish at a time ------------------------------ */

#define QCD_PACE_FIRST 3 /* charon requests cookies from the fourth on */
#define QCD_PACE_MAX 1024

/* qcd_pace tells how many handshakes may be under way at the same time after a
 * crash.  A maker that has lost many SAs tells only so many peers (RFC 6290
 * section 8.2).  A taker whose peer has lost many SAs re-establishes only so
 * many with that peer.  There is no rate: each completed handshake makes room
 * for the next one.  So the handshakes never outrun the slowest part on the
 * way, whichever that is, and never wait for a timer.
 *
 * Each completed handshake makes the window larger by one, until the first
 * failure.  A failure halves it, and from then on it grows by one for each
 * window that was completed.  Opaque. */
typedef struct qcd_pace {
    uint32_t window_free;
    uint32_t window_max;
    uint32_t threshold;
    uint32_t window;
    uint32_t num_completed;
    uint32_t num_good;
    uint32_t num_absent;
    uint32_t usual_ms;
    bool is_cut;
    uint64_t cut_ms;
} qcd_pace;

/* qcd_pace_init starts with a window of `window_free`.  With that many
 * handshakes under way, each is as cheap for the maker as it can be, since it
 * requests no cookies yet.  A taker does not know that number: QCD_PACE_FIRST.
 * With more than `window_max`, the maker refuses some; if it never does, this
 * is QCD_PACE_MAX. */
QCD_API void qcd_pace_init(qcd_pace *out, uint32_t window_free,
                           uint32_t window_max);

/* qcd_pace_due returns how many more peers may begin now, while `num_underway`
 * have begun and have neither completed nor failed. */
QCD_API QCD_NODISCARD uint32_t qcd_pace_due(const qcd_pace *pace,
                                            uint32_t num_underway);

/* qcd_pace_began records that a peer began its handshake `took_ms` after it was
 * told.  The first one tells what is usual; of later ones each counts a
 * quarter.  Call it once the handshake is completed: anybody can begin one in
 * the peer's name, and so make you wait longer for others. */
QCD_API void qcd_pace_began(qcd_pace *pace, uint32_t took_ms);

/* qcd_pace_patience returns for how many milliseconds a peer that was told
 * counts as being under way if it does not begin a handshake: three times what
 * is usual, 300 at least and 2000 at most.  After that, it is probably not
 * there, which is no failure. */
QCD_API QCD_NODISCARD uint32_t qcd_pace_patience(const qcd_pace *pace);

/* qcd_pace_absent records that a peer did not begin a handshake in that time.
 * Where many do not, up to four times as many are due at a time.
 * qcd_pace_present records that one has begun, and takes back a quarter of
 * that. */
QCD_API void qcd_pace_absent(qcd_pace *pace);
QCD_API void qcd_pace_present(qcd_pace *pace);

/* qcd_pace_completed records that a handshake was completed.  `num_underway`
 * includes it.  The window only grows if more than half of it was used, and
 * beyond `window_free` only if `is_idle`: this side could have done more at the
 * same time, and the peer is so far away, or its handshake waited so long for
 * something else, that more at a time are worth it. */
QCD_API void qcd_pace_completed(qcd_pace *pace, uint32_t num_underway,
                                bool is_idle);

/* qcd_pace_failed records at `now_ms` that a message had to be repeated, that a
 * peer refused, or that a handshake took too long.  It halves the window, at
 * most once a second, and not for one in sixteen: that many are lost in a bad
 * network. */
QCD_API void qcd_pace_failed(qcd_pace *pace, uint64_t now_ms);

/* qcd_pace_late records that a handshake was completed after it was recorded as
 * failed.  It was slow, not lost.  If failures have made the window smaller
 * than `window_free`, it has that size again: handshakes that are slow even
 * with so few under way are slow for another reason.  From there, it grows as
 * at first. */
QCD_API void qcd_pace_late(qcd_pace *pace);

/* ---- The QCD_TOKEN notify ---------------------------------------------- */

#define QCD_NOTIFY_INVALID_IKE_SPI 4
#define QCD_NOTIFY_INVALID_SPI 11
#define QCD_NOTIFY_QUICK_CRASH_DETECTION 16419

/* qcd_token_read reads the notification data of a QCD_TOKEN notify whose
 * headers the daemon has parsed already: `in_len` octets at `in`.
 *
 *   QCD_ERR_RANGE  not QCD_TOKEN_MIN to QCD_TOKEN_MAX octets */
QCD_API QCD_NODISCARD enum qcd_err
qcd_token_read(qcd_token *out, const uint8_t *in, size_t in_len);

/* ---- The unprotected messages, RFC 6290 section 4.5 -------------------- */

/* qcd_cause is the notify that accompanies the tokens. */
enum qcd_cause {
    QCD_CAUSE_NONE = 0, /* tokens alone; accepted, never sent */
    QCD_CAUSE_INVALID_IKE_SPI = 1,
    QCD_CAUSE_INVALID_SPI = 2
};

/* qcd_message is an unprotected message with tokens.  The caller may read all
 * members, and sets them for qcd_message_encode. */
typedef struct qcd_message {
    qcd_header header; /* next_payload and length are ignored when encoding */
    enum qcd_cause cause;
    qcd_child_spi child_spi; /* with QCD_CAUSE_INVALID_SPI, which names no
                              * protocol: 0 */
    size_t num_tokens;
    size_t num_skipped; /* tokens beyond QCD_TOKENS_READ_MAX, ignored */
    qcd_token tokens[QCD_TOKENS_READ_MAX];
} qcd_message;

/* qcd_message_is_candidate tells whether the `in_len` octets at `in` can be an
 * unprotected message of RFC 6290 section 4.5.  Such a message has IKE major
 * version 2 and a notify in the clear as its first payload.  It is neither
 * IKE_SA_INIT nor IKE_SESSION_RESUME, where notifies in the clear are ordinary.
 * This costs a few comparisons, so a daemon can call it for every packet. */
QCD_API bool qcd_message_is_candidate(const uint8_t *in, size_t in_len);

/* qcd_message_decode reads an unprotected message.  It accepts any number of
 * tokens; those beyond QCD_TOKENS_READ_MAX are counted and skipped.  A message
 * without a token is QCD_OK with num_tokens 0.  Unknown notifies are skipped,
 * as are unknown payloads without the critical bit.
 *
 *   QCD_ERR_TRUNCATED  a payload extends beyond the message
 *   QCD_ERR_MALFORMED  qcd_message_is_candidate returns false, a length field
 *                      is wrong, a payload is encrypted, an unknown payload is
 *                      critical, or a notify breaks its format */
QCD_API QCD_NODISCARD enum qcd_err
qcd_message_decode(qcd_message *out, const uint8_t *in, size_t in_len);

/* qcd_message_encode writes `message`, with up to QCD_TOKENS_SENT_MAX tokens,
 * to `out`.  The cause comes first, then the tokens in their order, each with
 * Protocol ID 0 (erratum 3449) and SPI size 0.
 *
 *   QCD_ERR_NOBUF  the message would have more than `max_len` octets
 *   QCD_ERR_RANGE  an invalid cause, QCD_CAUSE_NONE without a token, too many
 *                  tokens, or a token whose length is not QCD_TOKEN_MIN to
 *                  QCD_TOKEN_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_message_encode(qcd_datagram *out, const qcd_message *message,
                   size_t max_len);

/* ---- The token taker --------------------------------------------------- */

/* Checks a second that all messages over the limit of their source share.  The
 * check of a message with four tokens takes less than 1 us, so all of them cost
 * one percent of a processor (bench/bench.c measures it). */
#define QCD_VERIFY_RATE_COMMON 10000

/* qcd_taker is a token taker.  It has some 132,000 octets. */
typedef struct qcd_taker {
    qcd_hmac digests;
    qcd_source_limit sas; /* messages about each SA from each source */
    qcd_pool common;      /* and those over that rate */
} qcd_taker;

/* qcd_taker_init starts a taker with QCD_RANDOM_KEY_LEN fresh random octets.
 * `source_rate` is how many messages about one IKE SA are checked a second, and
 * the burst, from one source (an IPv4 address, an IPv6 /64).  0 disables all
 * checks.  All messages over that rate share QCD_VERIFY_RATE_COMMON.  So
 * messages forged in a peer's name about one of its SAs hold back no token of
 * its other SAs.  They hold back that SA's own token only if they exceed both
 * rates together (RFC 6290 sections 8.1 and 8.2).
 *
 *   QCD_ERR_RANGE  `source_rate` is above QCD_RATE_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_taker_init(qcd_taker *out, uint32_t source_rate,
               const uint8_t random[QCD_RANDOM_KEY_LEN]);

/* qcd_taker_wipe makes `taker` all zero. */
QCD_API void qcd_taker_wipe(qcd_taker *taker);

#define QCD_DIGEST_LEN 16

/* qcd_held is what a taker keeps with an IKE SA: keyed digests of the peer's
 * latest QCD_HELD_MAX tokens (RFC 6290 sections 3 and 5), and whether the peer
 * has shown one already.  `num` is the number of digests. */
typedef struct qcd_held {
    uint8_t num;
    uint8_t next;
    bool is_shown;
    uint8_t digests[QCD_HELD_MAX][QCD_DIGEST_LEN];
} qcd_held;

/* qcd_taker_store keeps a digest of `token`, received in a protected message.
 * It drops the oldest digest if QCD_HELD_MAX are held.  A token that is held
 * already changes nothing. */
QCD_API void qcd_taker_store(const qcd_taker *taker, qcd_held *held,
                             const qcd_token *token);

/* qcd_verdict is what an unprotected message with tokens proves. */
enum qcd_verdict {
    QCD_NO_MATCH = 0, /* nothing: none of the tokens is held */
    QCD_MATCH = 1,    /* the peer has lost the SA: delete it, silently */
    QCD_MATCHED = 2,  /* likewise, but an earlier message said so already */
};

/* qcd_taker_may_check counts a message from `source` about the IKE SA `spis`,
 * received at `now_ms`.  It tells whether its tokens may be checked.  Call it
 * only if the SA exists and its peer gave a token: messages about other SAs
 * cost nothing and must not use up the limit. */
QCD_API QCD_NODISCARD bool qcd_taker_may_check(qcd_taker *taker,
                                               const qcd_address *source,
                                               const qcd_spis *spis,
                                               uint64_t now_ms);

/* qcd_taker_check tells whether any token of `message` is held.  The time that
 * it takes reveals nothing of what is held.  It does not look at the message's
 * SPIs: the caller has found `held` by them, or by the child SPI of
 * QCD_CAUSE_INVALID_SPI. */
QCD_API QCD_NODISCARD enum qcd_verdict
qcd_taker_check(const qcd_taker *taker, qcd_held *held,
                const qcd_message *message);

/* ---- When a taker tries again ------------------------------------------ */

/* qcd_retry paces the tries of one recovery: from the verified token until the
 * tunnel is re-established, by whichever side.  The gap between two tries is
 * 250 ms at first, and then an eighth of the time since the first try.  So a
 * tunnel is down an eighth longer than it has to be.  The gap grows to 30 s at
 * most, or to 5 min for a peer that has refused for an hour.  Opaque, except
 * for `num_tries`. */
typedef struct qcd_retry {
    uint64_t begun_ms;
    uint64_t last_ms;
    uint64_t refused_ms;
    uint32_t num_tries;
    uint32_t num_crashes;
    bool is_refused;
} qcd_retry;

/* qcd_failure tells why a try failed. */
enum qcd_failure {
    QCD_FAILURE_SILENT = 0,  /* no response, or not in time */
    QCD_FAILURE_REFUSED = 1, /* the peer or we refused: not configured, no key,
                              * or an IKE SA without its child SAs */
    QCD_FAILURE_CRASHED = 2, /* the peer lost the SA before it was up, or within
                              * QCD_STABLE_MS with nothing received on it */
    QCD_FAILURE_LOST = 3,    /* the peer lost the SA within QCD_STABLE_MS, but
                              * it had been used */
};

#define QCD_STABLE_MS 2000

/* qcd_retry_init starts a recovery.  The first try is due at `now_ms`. */
QCD_API void qcd_retry_init(qcd_retry *out, uint64_t now_ms);

/* qcd_retry_try records that a try starts at `now_ms`. */
QCD_API void qcd_retry_try(qcd_retry *retry, uint64_t now_ms);

/* qcd_retry_fail records at `now_ms` that the last try failed.  If our
 * handshakes crash a peer, they must not bring it down for good: systemd gives
 * up on a daemon that it has to start more than five times within ten seconds.
 *
 *   QCD_FAILURE_CRASHED  the next try is due a second after the start of the
 *                        last one.  From the third crash in a row on it is due
 *                        after 4 s, 8 s, 16 s and then 30 s
 *   QCD_FAILURE_LOST     another outage, which our handshake did not cause: the
 *                        gaps start at 250 ms again */
QCD_API void qcd_retry_fail(qcd_retry *retry, enum qcd_failure failure,
                            uint64_t now_ms);

/* qcd_retry_hasten makes the gaps start at 250 ms again, because something has
 * changed: a route, an address or the configuration.  Crashes still count. */
QCD_API void qcd_retry_hasten(qcd_retry *retry, uint64_t now_ms);

/* qcd_retry_due returns when the next try is due, in milliseconds of the same
 * clock.  `random` is 32 random bits; they shorten the gap by up to a
 * quarter. */
QCD_API uint64_t qcd_retry_due(const qcd_retry *retry, uint32_t random);

#ifdef __cplusplus
}
#endif

#endif
