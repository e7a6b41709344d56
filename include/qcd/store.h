/* SPDX-License-Identifier: Apache-2.0 */
/* store.h: what a token maker needs again after a crash, kept in one folder:
 * its secrets and the number of its run (RFC 6290 sections 1.1 and 5.1).
 *
 *   secrets  the key that seals the SPIs and up to four generations of
 *            QCD_SECRET; made once, and rewritten only by an explicit change
 *   run      the number of the last run that was started, the nodes of that run
 *            and of earlier runs, the birth of this very file, the machine
 *   lock     held by the one process that uses the folder; two daemons on one
 *            folder would each take the other's SAs for dead
 *
 * The folder has mode 0700 and the files have 0600.  All are owned by the user
 * that the daemon runs as.  It is an error if a file is too open, has another
 * owner, was written by a newer version or is not regular.  The report names
 * the file.  The file is neither used nor overwritten, since an administrator
 * may know better.
 *
 * A file is replaced by way of a temporary file: write, fsync, rename, and
 * fsync of the folder.  So a crash at any point leaves either the old file or
 * the new one.
 *
 * Two gateways with the same sealing key and the same node number would take
 * each other's live SAs for dead, and show their tokens (section 9.2).  Two
 * things guard against that:
 *
 *   run file     each start writes it, with the inode and the time of birth of
 *                that very file and the identity of the machine.  If these
 *                differ, the folder is a copy, and the gateway starts afresh,
 *                unless an administrator has adopted the folder before
 *                (qcd_store_adopt);
 *   node number  secrets that were shared on purpose (qcd_store_share) carry
 *                the numbers of all gateways that had them before.  None of
 *                these numbers may be used again.
 *
 * To start afresh is to make a new sealing key and new secrets.  Requests for
 * SAs from before then get no reply.  The gateway starts afresh whenever it
 * cannot know which runs of the key are over.  It keeps the old files as
 * secrets.old and run.old, and damaged secrets as secrets.damaged: one of
 * each. */
#ifndef QCD_STORE_H
#define QCD_STORE_H

#include <qcd/qcd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* qcd_store_err tells what went wrong; qcd_store_report says it in a
 * sentence. */
enum qcd_store_err {
    QCD_STORE_OK = 0,
    QCD_STORE_ERR_SYSTEM = -1,    /* system refused: no permission, disk full */
    QCD_STORE_ERR_UNSAFE = -2,    /* too open, of another owner, not regular */
    QCD_STORE_ERR_DAMAGED = -3,   /* checksum, size or magic are wrong */
    QCD_STORE_ERR_VERSION = -4,   /* written by a newer version */
    QCD_STORE_ERR_BUSY = -5,      /* another process uses the folder */
    QCD_STORE_ERR_EXHAUSTED = -6, /* run numbers have run out */
    QCD_STORE_ERR_NODE = -8,      /* another gateway has this node number */
    QCD_STORE_ERR_MISSING = -9,   /* there are no secrets */
    QCD_STORE_ERR_OTHERS = -10,   /* there are other secrets already */
    QCD_STORE_ERR_PASSPHRASE = -11, /* not the passphrase of this export */
    QCD_STORE_ERR_GIVEN = -12,      /* a maker has it already */
};

/* qcd_store_report is a sentence for the administrator.  It names the file and
 * says what is wrong and what to do.  It never contains a secret.  On success
 * `text` is empty, or tells what was done on the way (new secrets, and why). */
typedef struct qcd_store_report {
    char text[512];
} qcd_store_report;

#define QCD_STORE_IDENTITY_MAX 128
#define QCD_STORE_MACHINE_LEN 32
#define QCD_STORE_NODES 256
#define QCD_STORE_MACHINE_ID "/etc/machine-id"
#define QCD_STORE_PRODUCT_UUID "/sys/class/dmi/id/product_uuid"

/* qcd_store_identity tells this machine from its copies.  The caller sets all
 * members.  A machine without an ID has `len` 0.  One whose board or hypervisor
 * gives it no UUID has `product_len` 0. */
typedef struct qcd_store_identity {
    size_t len;
    uint8_t octets[QCD_STORE_IDENTITY_MAX];
    bool is_product_hidden; /* there is one, but we may not read it */
    size_t product_len;
    uint8_t product[QCD_STORE_IDENTITY_MAX];
} qcd_store_identity;

/* qcd_store_user is the owner of the folder and its files. */
typedef struct qcd_store_user {
    uint32_t uid;
    uint32_t gid;
} qcd_store_user;

/* qcd_secrets is the content of the secrets file.  Bit n % 8 of octet n / 8 of
 * `taken` is set if another gateway has or had these secrets as node n.
 * `machine` is zero, or a digest of the machine to which versions without a
 * birth in the run file bound the secrets. */
typedef struct qcd_secrets {
    uint8_t seal_key[QCD_SEAL_KEY_LEN];
    uint8_t machine[QCD_STORE_MACHINE_LEN];
    uint8_t taken[QCD_STORE_NODES / 8];
    size_t num_generations;                      /* 1 to QCD_GENERATIONS_MAX */
    qcd_secret generations[QCD_GENERATIONS_MAX]; /* newest first */
    uint64_t made_at[QCD_GENERATIONS_MAX];       /* seconds since 1970 */
} qcd_secrets;

/* qcd_store is an open folder.  Only one thread may use it at a time. */
typedef struct qcd_store qcd_store;

/* qcd_store_identity_read reads the identity of the machine from the files
 * `machine` (QCD_STORE_MACHINE_ID) and `product` (QCD_STORE_PRODUCT_UUID), and
 * drops white space at their ends.  A machine has no ID if the first file is
 * missing, empty or "uninitialized" (machine-id(5)); that is not an error.  If
 * anything is wrong with the second file, the product counts as hidden.
 *
 *   QCD_STORE_ERR_SYSTEM   the first file exists and cannot be read
 *   QCD_STORE_ERR_DAMAGED  the first file has more than QCD_STORE_IDENTITY_MAX
 *                          octets, or is not a regular file */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_identity_read(qcd_store_identity *out, qcd_store_report *report,
                        const char *machine, const char *product);

/* ---- For a daemon ------------------------------------------------------ */

/* qcd_store_settings tells what to open.  The caller sets all members. */
typedef struct qcd_store_settings {
    const char *path;
    const qcd_store_identity *identity; /* NULL: this machine's */
    const qcd_store_user *user; /* future owner; NULL: the effective user */
    uint8_t node;
} qcd_store_settings;

/* qcd_store_open opens the folder, or makes a missing one (and its missing
 * parents, 0755).  It takes the lock, reads the secrets or makes the first
 * ones, starts the next run of the node and makes its number durable.  `now` is
 * in seconds since 1970.  On success the caller owns `*out`.  On error `*out`
 * is NULL, and everything useful in the folder is still there, under its name
 * or as *.old.
 *
 * Each open starts another run, and considers the earlier ones over.  So a
 * process opens a folder once: opened again, it would take the live SAs of its
 * own first run for dead.
 *
 * A process that will give up root for another user opens the folder before it
 * does so, with that user in the settings.  New files then belong to that user.
 * If the folder is ours and has nothing but our files in it, it is given to
 * that user.
 *
 *   QCD_STORE_ERR_NODE    another gateway had the secrets as this node; nothing
 *                         was changed
 *   QCD_STORE_ERR_UNSAFE  the folder or a file is too open, belongs to another
 *                         user or is of the wrong kind; nothing was changed
 *
 * Without an identity, also the errors of qcd_store_identity_read.  If this
 * machine has none, `report` says so: a clone of its disk would not be
 * detected.
 *
 * The path is absolute, and its last part is not a symbolic link.  The parent
 * folder belongs to root, to us or to the user, and others cannot write to it
 * (or only with the sticky bit, as in /tmp).
 *
 * The gateway starts afresh in these cases, and `report` tells why: the folder
 * is a copy or comes from another machine; the secrets are damaged; the run
 * file is missing, damaged or belongs to other secrets; the run numbers have
 * run out (65535 starts). */
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

/* qcd_store_state fills in what a token maker starts with: secrets, sealing
 * key, run and fresh random octets.  It does so once: a second maker would mint
 * the same SPIs.  The caller wipes `out`.  On success `report` is left as it
 * is, so that one may serve qcd_store_open as well.
 *
 *   QCD_STORE_ERR_GIVEN   it was called before
 *   QCD_STORE_ERR_SYSTEM  no random octets are available */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_state(qcd_store *store, qcd_store_report *report,
                qcd_maker_state *out);

/* qcd_store_next_run starts another run of this process and makes its number
 * durable before it returns.  On error the run stays the same.
 *
 *   QCD_STORE_ERR_EXHAUSTED  65535 is in use
 *   QCD_STORE_ERR_SYSTEM     the number could not be written */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_next_run(qcd_store *store, qcd_store_report *report);

/* qcd_store_rotate makes a new secret, dated `now`, and puts it before the
 * others.  It drops the oldest if there are QCD_GENERATIONS_MAX (RFC 6290
 * section 5.1).  The change is durable before it returns.  On error nothing has
 * changed for the caller, who may try again.  Check qcd_maker_is_last
 * first. */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_rotate(qcd_store *store, qcd_store_report *report, uint64_t now);

/* qcd_store_age returns the seconds since the newest secret was made, as far as
 * the clock tells.  It returns 0 if the secret was made in the future, before
 * the clock was set back.  So a wrong clock causes at most one rotation while
 * it is ahead, and none while it is behind. */
QCD_API uint64_t qcd_store_age(const qcd_store *store, uint64_t now);

/* ---- For an administrator ---------------------------------------------- */

/* If the caller is root, the folder may belong to any user.  New files in it
 * then belong to that user too. */

/* qcd_store_adopt binds the folder `path` to its place and to the machine
 * `identity`.  The next start then uses the secrets in it instead of starting
 * afresh.  The secrets must no longer be used anywhere else.
 *
 *   QCD_STORE_ERR_BUSY     a process uses the folder, so it fits this machine
 *                          already
 *   QCD_STORE_ERR_MISSING  there is no such folder, there are no secrets, or
 *                          their run is lost: the next start makes new ones */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_adopt(qcd_store_report *report, const char *path,
                const qcd_store_identity *identity);

/* qcd_store_peek reads the secrets in the folder `path` and changes nothing.  A
 * daemon may use the folder at the same time: its files are replaced as a
 * whole.  On error `out` is all zero.  Wipe it after use.
 *
 *   QCD_STORE_ERR_MISSING  there is no such folder, or there are no secrets */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_peek(qcd_secrets *out, qcd_store_report *report, const char *path);

/* qcd_store_share is qcd_store_peek for another gateway of a group.  The result
 * is bound to no machine, and all numbers that our node ever had with this key
 * are among the taken ones.
 *
 *   QCD_STORE_ERR_MISSING  also if the next start on the machine `identity`
 *                          would make new secrets: the run is lost, or the
 *                          folder is a copy, which can't know what numbers were
 *                          used since */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_share(qcd_secrets *out, qcd_store_report *report, const char *path,
                const qcd_store_identity *identity);

/* qcd_store_import puts `secrets`, which another gateway shared, into the
 * folder `path` and binds them to the machine `identity`.  It makes the folder
 * if it is missing.  `report` tells what was done.  On error nothing useful is
 * lost.
 *
 * An import cannot make a gateway show the token of a live SA of another
 * gateway.  An SPI names its node, and a gateway takes only SAs of its own node
 * for dead.  The numbers of all gateways that had the secrets are taken, so
 * qcd_store_open refuses them.  (It cannot know of two gateways that import the
 * same secrets; those need different numbers.)  Runs start at 1 again, for a
 * node that has none yet.  If it had earlier runs in a lost folder, the SAs of
 * those runs are dead.  Requests for them get no reply until the run numbers
 * have passed theirs.
 *
 * If the folder has secrets with the same sealing key, as after a rotation on
 * the other gateway, they are renewed.  The given generations come first, then
 * those that only we had, as far as there is room.  Run, node and machine stay
 * the same.
 *
 *   QCD_STORE_ERR_BUSY    a process uses the folder
 *   QCD_STORE_ERR_OTHERS  there are secrets with another sealing key */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_store_import(qcd_store_report *report, const char *path,
                 const qcd_secrets *secrets,
                 const qcd_store_identity *identity);

/* ---- The SA map -------------------------------------------------------- */

/* The SA map leads from the SPI of each inbound child SA to its IKE SA (RFC
 * 6290 section 8.2).  With it a packet of ESP is recognized whose SA was lost
 * in a crash.
 *
 * It is one file, `samap`, of slots of the same size.  Each slot has one row or
 * none, and its own checksum; no slot points to another.  A change reads and
 * writes its slot in place, without fsync, so that a handshake does not wait
 * for a disk.  A process that is killed loses nothing.  qcd_samap_flush makes
 * all changes durable.  If it is called once a second, a power cut costs at
 * most the last second.  A damaged slot costs its own row and no other.
 *
 * The map is a hint, not evidence: only its sealed SPI proves that an IKE SA is
 * dead (RFC 6290 section 9.2).  A file that is not a map is set aside as
 * samap.damaged, and a new map is started.  All that is lost then are replies
 * to ESP.
 *
 * All functions are thread-safe.  None of them keeps a pointer that it was
 * given.  This process must have the folder open as a qcd_store, whose lock
 * keeps out a second process. */

#define QCD_SAMAP_ROWS_MAX 1048576 /* most rows of a map */
#define QCD_SAMAP_PEER_LEN 16

/* qcd_samap is an open map. */
typedef struct qcd_samap qcd_samap;

/* qcd_samap_row is an inbound child SA.  The caller sets all members.  The key
 * is `child_spi` alone: if two rows have the same SPI at two addresses, the
 * later one replaces the earlier. */
typedef struct qcd_samap_row {
    qcd_child_spi child_spi;
    bool encap;   /* in UDP */
    uint8_t node; /* that has or had the SA, and the run that owns it */
    uint16_t run;
    qcd_ike_sa sa;
    qcd_address local; /* where the IKE SA's messages arrive, and from where */
    qcd_address peer;
    uint16_t local_port;
    uint16_t peer_port;
    uint8_t peer_id[QCD_SAMAP_PEER_LEN]; /* the same for all SAs with a peer */
    uint64_t expires; /* seconds since 1970, or 0 if not known */
} qcd_samap_row;

/* qcd_samap_open opens the map in the folder `path`, or makes a new one.  It
 * reads the whole file once.  Damaged slots are skipped.  A file with nothing
 * but damaged slots, or of another version, is set aside, and a new map is
 * started.  Both count as success, and `report` tells of them.  On success the
 * caller owns `*out`.
 *
 *   QCD_STORE_ERR_SYSTEM  the file can't be read or written
 *   QCD_STORE_ERR_UNSAFE  the file is too open, has another owner or is not
 *                         regular */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_open(qcd_samap **out, qcd_store_report *report, const char *path);

/* qcd_samap_close flushes and frees `map`, which may be NULL. */
QCD_API void qcd_samap_close(qcd_samap *map);

/* qcd_samap_put adds a row, or replaces the row with the same SPI.
 *
 *   QCD_STORE_ERR_SYSTEM     the row could not be written (the disk may be
 *                            full, and the file has to grow); nothing is
 *                            changed
 *   QCD_STORE_ERR_EXHAUSTED  there are QCD_SAMAP_ROWS_MAX rows; nothing is
 *                            changed */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_put(qcd_samap *map, qcd_store_report *report,
              const qcd_samap_row *row);

/* qcd_samap_remove removes `row`, which the caller found before.  It leaves
 * alone a row of another IKE SA that has taken its SPI since.  `*out_removed`
 * tells whether the row was removed.
 *
 *   QCD_STORE_ERR_SYSTEM  the removal could not be written; nothing is
 *                         changed */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_remove(qcd_samap *map, qcd_store_report *report, bool *out_removed,
                 const qcd_samap_row *row);

/* qcd_samap_flush makes all changes durable that were made before the call.
 * Other threads may make changes meanwhile; they don't wait for the disk.
 *
 * If the file was removed or replaced, it is written again, with all rows. That
 * counts as success, and `report` tells of it.
 *
 *   QCD_STORE_ERR_SYSTEM  the disk has an error: call again later */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_flush(qcd_samap *map, qcd_store_report *report);

/* qcd_samap_find finds the row of `child_spi`, as the last change left it.  It
 * returns false, with `out` all zero, if there is none. */
QCD_API QCD_NODISCARD bool qcd_samap_find(qcd_samap *map, qcd_samap_row *out,
                                          const qcd_child_spi *child_spi);

/* qcd_samap_visit is called with each row of a walk.  It must not call the
 * map's functions.  It may change the row's `expires`; other changes are
 * ignored.  It returns what to do with the row. */
enum qcd_samap_fate {
    QCD_SAMAP_KEEP = 0,
    QCD_SAMAP_UPDATE = 1, /* `expires` was changed */
    QCD_SAMAP_DROP = 2
};
typedef enum qcd_samap_fate qcd_samap_visit(void *user, qcd_samap_row *row);

/* qcd_samap_walk visits each row, in any order, and does with it what the
 * visitor returns.  The next flush makes the changes durable.  Other threads
 * may make changes meanwhile: a row that is put or removed during the walk may
 * or may not be visited.
 *
 *   QCD_STORE_ERR_SYSTEM  something could not be read or written; some rows may
 *                         have been visited and changed, and others not */
QCD_API QCD_NODISCARD enum qcd_store_err
qcd_samap_walk(qcd_samap *map, qcd_store_report *report, qcd_samap_visit *visit,
               void *user);

/* qcd_samap_count returns the number of rows. */
QCD_API size_t qcd_samap_count(qcd_samap *map);

#define QCD_SAMAP_SLOT_LEN 128

/* qcd_samap_encode writes `row` as a slot of the file, with its checksum: for a
 * daemon whose rows wait somewhere before they are put.  The lengths of both
 * addresses are 4 or 16.  Only a machine of the same byte order reads it. */
QCD_API void qcd_samap_encode(uint8_t out[QCD_SAMAP_SLOT_LEN],
                              const qcd_samap_row *row);

/* qcd_samap_decode reads a slot, which may be hostile.  It returns false, with
 * `out` all zero, if the slot has no row that qcd_samap_encode writes. */
QCD_API QCD_NODISCARD bool
qcd_samap_decode(qcd_samap_row *out, const uint8_t in[QCD_SAMAP_SLOT_LEN]);

#ifdef __cplusplus
}
#endif

#endif
