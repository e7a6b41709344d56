/* SPDX-License-Identifier: Apache-2.0 */
/* store.h: what a token maker must find again after a crash: its secrets and
 * the number of its run (RFC 6290 sections 1.1 and 5.1), in one folder.
 *
 *   secrets  the sealing key of the SPIs and up to four generations of
 *            QCD_SECRET; made once, written anew only by an explicit change
 *   run      the number of the last run that was started, the nodes that it
 *            and those before it had, the birth of this very file, the machine
 *   lock     held by the one process that uses the folder; two daemons on one
 *            folder would each take the other's SAs for dead
 *
 * The folder is 0700 and the files are 0600, all owned by the user that the
 * daemon runs as.  A file that is too open, of another owner, of a newer
 * version or not regular is an error that names it: it is neither used nor
 * overwritten, since an administrator may know better.
 *
 * Files are replaced by a temporary file, fsync, rename and fsync of the
 * folder, so that a crash at any point leaves the old or the new one.
 *
 * Two gateways with the same sealing key and the same node number would take
 * each other's live SAs for dead, and show their tokens (section 9.2).  Two
 * things guard against that:
 *
 *   the run file  each start writes it, with the inode and the time of birth of
 *                 that very file and the identity of the machine.  Where these
 *                 differ the folder is a copy, and the gateway starts afresh,
 *                 unless an administrator adopted it before (qcd_store_adopt);
 *   the node      secrets that were shared on purpose (qcd_store_share) carry
 *                 the numbers of all who had them before; none of these may be
 *                 used again.
 *
 * To start afresh is to make a new sealing key and new secrets.  SAs from
 * before are then met with silence.  The gateway does so wherever it cannot
 * know which runs of the key are over.  The old files are kept as secrets.old
 * and run.old, damaged secrets as secrets.damaged: one of each. */
#ifndef QCD_STORE_H
#define QCD_STORE_H

#include <qcd/qcd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* qcd_store_err is what can go wrong; qcd_store_report has the sentence. */
enum qcd_store_err {
    QCD_STORE_OK = 0,
    QCD_STORE_ERR_SYSTEM = -1,    /* the system refused: no right, disk full */
    QCD_STORE_ERR_UNSAFE = -2,    /* too open, of another owner, not regular */
    QCD_STORE_ERR_DAMAGED = -3,   /* checksum, size or magic are wrong */
    QCD_STORE_ERR_VERSION = -4,   /* written by a newer version */
    QCD_STORE_ERR_BUSY = -5,      /* another process uses the folder */
    QCD_STORE_ERR_EXHAUSTED = -6, /* run numbers have run out */
    QCD_STORE_ERR_NODE = -8,      /* another gateway has that node number */
    QCD_STORE_ERR_MISSING = -9,   /* there are no secrets */
    QCD_STORE_ERR_OTHERS = -10,   /* there are other secrets already */
    QCD_STORE_ERR_PASSPHRASE = -11, /* it is not the one of this export */
    QCD_STORE_ERR_GIVEN = -12,      /* a maker has it already */
};

/* qcd_store_report is a sentence for the administrator: it names the file and
 * says what is wrong and what to do.  It never has a secret in it.  On success
 * `text` is empty, or tells what was done on the way (new secrets, and why). */
typedef struct qcd_store_report {
    char text[512];
} qcd_store_report;

#define QCD_STORE_IDENTITY_MAX 128
#define QCD_STORE_MACHINE_LEN 32
#define QCD_STORE_NODES 256
#define QCD_STORE_MACHINE_ID "/etc/machine-id"
#define QCD_STORE_PRODUCT_UUID "/sys/class/dmi/id/product_uuid"

/* qcd_store_identity is what tells this machine from its copies.  All members
 * are the caller's to set.  A machine without an ID has `len` 0, one whose
 * board or hypervisor gives it no UUID has `product_len` 0. */
typedef struct qcd_store_identity {
    size_t len;
    uint8_t octets[QCD_STORE_IDENTITY_MAX];
    bool is_product_hidden; /* there is one, which we may not read */
    size_t product_len;
    uint8_t product[QCD_STORE_IDENTITY_MAX];
} qcd_store_identity;

/* qcd_store_user is whose the folder and its files are. */
typedef struct qcd_store_user {
    uint32_t uid;
    uint32_t gid;
} qcd_store_user;

/* qcd_secrets is the content of the secrets file.  Bit n % 8 of octet n / 8 of
 * `taken` is set where another gateway has or had these secrets as node n.
 * `machine` is zero, or a digest that versions without a birth in the run file
 * bound them to. */
typedef struct qcd_secrets {
    uint8_t seal_key[QCD_SEAL_KEY_LEN];
    uint8_t machine[QCD_STORE_MACHINE_LEN];
    uint8_t taken[QCD_STORE_NODES / 8];
    size_t num_generations;                      /* 1 to QCD_GENERATIONS_MAX */
    qcd_secret generations[QCD_GENERATIONS_MAX]; /* newest first */
    uint64_t made_at[QCD_GENERATIONS_MAX];       /* seconds since 1970 */
} qcd_secrets;

/* qcd_store is an open folder.  One thread at a time. */
typedef struct qcd_store qcd_store;

/* qcd_store_identity_read reads the identity of the machine from the files
 * `machine`, QCD_STORE_MACHINE_ID, and `product`, QCD_STORE_PRODUCT_UUID,
 * without white space at their ends.  A machine whose first file is missing,
 * empty or "uninitialized" (machine-id(5)) has no ID: that is no error.
 * Whatever is wrong with the second one, it is hidden.
 *
 *   QCD_STORE_ERR_SYSTEM   the first is there and cannot be read
 *   QCD_STORE_ERR_DAMAGED  the first has more than QCD_STORE_IDENTITY_MAX
 *                          octets, or is no regular file */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_identity_read(qcd_store_identity *out, qcd_store_report *report,
                        const char *machine, const char *product);

/* ---- For a daemon -------------------------------------------------------- */

/* qcd_store_settings says what to open.  All members are the caller's to
 * set. */
typedef struct qcd_store_settings {
    const char *path;
    const qcd_store_identity *identity; /* NULL: this machine's */
    const qcd_store_user *user; /* who will use it; NULL: the effective user */
    uint8_t node;
} qcd_store_settings;

/* qcd_store_open opens the folder, makes it (and missing parents, 0755) where
 * it is missing, takes the lock, reads the secrets or makes the first ones,
 * starts the next run of the node and makes its number durable.  `now` is in
 * seconds since 1970.  On success the caller owns `*out`; on error `*out` is
 * NULL, and what was of use in the folder is there still, under its name or as
 * *.old.
 *
 * Each open starts another run, and takes those before it for over.  So a
 * process opens a folder once: opened again, it would take the live SAs of its
 * own first run for dead.
 *
 * A process that will give up root for another user opens the folder before,
 * with that user in the settings: what is made belongs to the user, and a
 * folder of ours with nothing but our files in it is given to it.
 *
 *   QCD_STORE_ERR_NODE    another gateway had the secrets as this node; nothing
 *                         was changed
 *   QCD_STORE_ERR_UNSAFE  the folder or a file is too open, of another user or
 *                         of another kind; likewise
 *
 * Without an identity also what qcd_store_identity_read has.  If this machine
 * has none, `report` tells that too: a clone of its disk would not be noticed.
 *
 * The path is absolute and its last part no symbolic link.  The folder that it
 * stands in is root's, ours or the user's, and others cannot write to it (or
 * only with the sticky bit, as in /tmp).
 *
 * The gateway starts afresh, and `report` tells why, where the folder is a copy
 * or of another machine, where the secrets are damaged, where the run file is
 * missing, damaged or of other secrets, and where the numbers have run out
 * (65535 starts). */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_open(qcd_store **out, qcd_store_report *report,
               const qcd_store_settings *settings, uint64_t now);

/* qcd_store_is_volatile tells whether the folder is in memory, so that a reboot
 * empties it. */
QCD_API bool qcd_store_is_volatile(const qcd_store *store);

/* qcd_store_close releases the lock, wipes the secrets and frees `store`, which
 * may be NULL. */
QCD_API void qcd_store_close(qcd_store *store);

/* qcd_store_secrets returns the secrets, owned by `store`. */
QCD_API const qcd_secrets *qcd_store_secrets(const qcd_store *store);

/* qcd_store_run returns the number of the current run, 1 to 65535. */
QCD_API uint16_t qcd_store_run(const qcd_store *store);

/* qcd_store_state fills in what a token maker begins with: secrets, sealing key
 * and run, and fresh random octets.  It does so once: a second maker would mint
 * the same SPIs.  The caller wipes `out`.  On success `report` is left as it
 * is, so that one may serve qcd_store_open as well.
 *
 *   QCD_STORE_ERR_GIVEN   it was called before
 *   QCD_STORE_ERR_SYSTEM  there are no random octets to be had */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_state(qcd_store *store, qcd_store_report *report,
                qcd_maker_state *out);

/* qcd_store_next_run starts another run of this process and makes its number
 * durable before it returns.  On error the run stays what it was.
 *
 *   QCD_STORE_ERR_EXHAUSTED  65535 is in use
 *   QCD_STORE_ERR_SYSTEM     it could not be written */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_next_run(qcd_store *store, qcd_store_report *report);

/* qcd_store_rotate makes a new secret, made at `now`, puts it before the others
 * and lets go of the oldest where there are QCD_GENERATIONS_MAX (RFC 6290
 * section 5.1).  It is durable before it returns.  On error nothing has
 * changed for the caller, who may try again.  Ask qcd_maker_is_last
 * first. */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_rotate(qcd_store *store, qcd_store_report *report, uint64_t now);

/* qcd_store_age returns the seconds since the newest secret was made, as far as
 * the clock tells: 0 where it was made in the future, before the clock was set
 * back.  A clock that runs wild so causes one rotation at the most, when it is
 * ahead, and none while it is behind. */
QCD_API uint64_t qcd_store_age(const qcd_store *store, uint64_t now);

/* ---- For an administrator ------------------------------------------------ */

/* Where the caller is root, the folder may belong to any user; new files in it
 * belong to that user too. */

/* qcd_store_adopt binds the folder `path` to its place and to this machine
 * `identity`, so that the next start uses the secrets in it and does not start
 * afresh.  The secrets must not be used elsewhere any more.
 *
 *   QCD_STORE_ERR_BUSY     a process uses the folder: it fits this machine
 *   QCD_STORE_ERR_MISSING  there is no such folder, there are no secrets, or
 *                          their run is lost: the next start makes others */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_adopt(qcd_store_report *report, const char *path,
                const qcd_store_identity *identity);

/* qcd_store_peek reads the secrets in the folder `path`, and changes nothing.
 * A daemon may use the folder: its files are replaced in whole.  On error `out`
 * is all zero; wipe it after use.
 *
 *   QCD_STORE_ERR_MISSING  there is no such folder, or there are no secrets */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_peek(qcd_secrets *out, qcd_store_report *report, const char *path);

/* qcd_store_share is qcd_store_peek for another gateway of a group: bound to no
 * machine, and with all numbers that our node ever had with this key among
 * those that are taken.
 *
 *   QCD_STORE_ERR_MISSING  also where the next start on this machine `identity`
 *                          would make other secrets: the run is lost, or the
 *                          folder is a copy, which can't know what numbers were
 *                          used since */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_share(qcd_secrets *out, qcd_store_report *report, const char *path,
                const qcd_store_identity *identity);

/* qcd_store_import puts `secrets`, which another gateway shared, into the
 * folder `path`, which is made where it is missing, and binds them to the
 * machine `identity`.  `report` tells what was done.  On error nothing of use
 * is lost.
 *
 * Why it cannot make a gateway show the token of a live SA of another one: an
 * SPI names its node, a gateway takes for dead only SAs of its own node, and
 * the numbers of all gateways that had the secrets are taken, so that
 * qcd_store_open refuses them.  (It cannot know of two that import the same
 * secrets; those need different numbers.)  Runs start again at 1, of a node
 * that has none yet.  Had it some, in a folder that is lost, then the SAs of
 * those runs are dead, and get silence until the numbers have passed them.
 *
 * Where the folder has secrets with the same sealing key, as after a rotation
 * on the other gateway, they are renewed: the given generations come first,
 * then those that only we had, as far as there is room.  Run, node and machine
 * stay what they were.
 *
 *   QCD_STORE_ERR_BUSY    a process uses the folder
 *   QCD_STORE_ERR_OTHERS  there are secrets with another sealing key */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_import(qcd_store_report *report, const char *path,
                 const qcd_secrets *secrets,
                 const qcd_store_identity *identity);

/* ---- The SA map --------------------------------------------------------- */

/* The SA map, from the SPI of each inbound child SA to the IKE SA that
 * it belongs to (RFC 6290 section 8.2), kept so that a packet of ESP whose SA
 * was lost in a crash is known again.
 *
 * It is one file, `samap`, of slots of the same size, each with a row or
 * nothing and with a checksum of its own; no slot points to another one.  A
 * change reads and writes its slot in place, without fsync, so that a handshake
 * waits for no disk.  A process that is killed loses nothing.  qcd_samap_flush
 * makes all changes durable; called once a second, a power cut costs the last
 * second at the most.  A damaged slot costs its row and no other.
 *
 * The map is a hint and no evidence: that an IKE SA is dead, its sealed SPI
 * says (RFC 6290 section 9.2).  A file that is no map is put aside as
 * samap.damaged and a new one begun; all that is lost are answers to ESP.
 *
 * All functions are thread-safe.  None of them keeps a pointer that it was
 * given.  The folder is one that this process has open as a qcd_store, whose
 * lock keeps a second process away. */

#define QCD_SAMAP_ROWS_MAX 1048576 /* rows that a map can have */
#define QCD_SAMAP_PEER_LEN 16

/* qcd_samap is an open map. */
typedef struct qcd_samap qcd_samap;

/* qcd_samap_row is an inbound child SA.  All members are the caller's to set.
 * Its key is `child_spi` alone: where two have the same SPI at two addresses,
 * the later one takes the place of the earlier. */
typedef struct qcd_samap_row {
    qcd_child_spi child_spi;
    bool encap;   /* in UDP */
    uint8_t node; /* that has or had the SA, and the run that owns it */
    uint16_t run;
    qcd_ike_sa sa;
    qcd_address local; /* where the IKE SA's messages come in, and from where */
    qcd_address peer;
    uint16_t local_port;
    uint16_t peer_port;
    uint8_t peer_id[QCD_SAMAP_PEER_LEN]; /* the same for all SAs with a peer */
    uint64_t expires; /* seconds since 1970, or 0 where nothing is known */
} qcd_samap_row;

/* qcd_samap_open opens the map in the folder `path`, or makes a new one: one
 * read of the whole file.  Slots that are damaged are passed over; a file that
 * has nothing else, or is of another version, is set aside and a new one begun.
 * Both are a success, and `report` tells.  On success the caller owns `*out`.
 *
 *   QCD_STORE_ERR_SYSTEM  the file can't be read or written
 *   QCD_STORE_ERR_UNSAFE  it is too open, of another owner, not regular */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_open(qcd_samap **out, qcd_store_report *report, const char *path);

/* qcd_samap_close flushes and frees `map`, which may be NULL. */
QCD_API void qcd_samap_close(qcd_samap *map);

/* qcd_samap_put adds a row, or puts it in the place of the one with its SPI.
 *
 *   QCD_STORE_ERR_SYSTEM     it could not be written (the disk may be full, and
 *                            the file has to grow); nothing is changed
 *   QCD_STORE_ERR_EXHAUSTED  there are QCD_SAMAP_ROWS_MAX rows; likewise */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_put(qcd_samap *map, qcd_store_report *report,
              const qcd_samap_row *row);

/* qcd_samap_remove removes `row` as it was found: not one of another IKE SA
 * that has taken its SPI since.  `*out_removed` tells whether it did.
 *
 *   QCD_STORE_ERR_SYSTEM  it could not be written; nothing is changed */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_remove(qcd_samap *map, qcd_store_report *report, bool *out_removed,
                 const qcd_samap_row *row);

/* qcd_samap_flush makes all changes durable that were made before its call.
 * Others may be made meanwhile, they don't wait for the disk.
 *
 *   QCD_STORE_ERR_SYSTEM  the disk has an error: call it again later */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_flush(qcd_samap *map, qcd_store_report *report);

/* qcd_samap_find finds the row of `child_spi`, as the last change left it.  It
 * returns false, with `out` all zero, where there is none. */
QCD_API QCD_NODISCARD bool qcd_samap_find(qcd_samap *map, qcd_samap_row *out,
                                          const qcd_child_spi *child_spi);

/* qcd_samap_visit is called with each row of a walk; the map's functions must
 * not be called in it.  It may change the row's `expires`, and no other member:
 * that is not taken over.  It returns what becomes of the row. */
enum qcd_samap_fate {
    QCD_SAMAP_KEEP = 0,
    QCD_SAMAP_UPDATE = 1, /* `expires` was changed */
    QCD_SAMAP_DROP = 2
};
typedef enum qcd_samap_fate qcd_samap_visit(void *user, qcd_samap_row *row);

/* qcd_samap_walk visits each row, in any order, and does what becomes of it;
 * the next flush makes that durable.  Others may make changes meanwhile: of a
 * row that is put or removed then it is open whether it is visited.
 *
 *   QCD_STORE_ERR_SYSTEM  something could not be read or written; then some
 * rows may have been visited and changed, and others not */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_walk(qcd_samap *map, qcd_store_report *report, qcd_samap_visit *visit,
               void *user);

/* qcd_samap_count counts the rows. */
QCD_API size_t qcd_samap_count(qcd_samap *map);

#ifdef __cplusplus
}
#endif

#endif
