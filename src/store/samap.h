/* SPDX-License-Identifier: Apache-2.0 */
/* samap.h: the SA map, from the SPI of each inbound child SA to the IKE SA that
 * it belongs to (RFC 6290 section 8.2), kept so that a packet of ESP whose SA
 * was lost in a crash is known again.
 *
 *   samap        an LMDB environment (samap-lock is its lock file)
 *   samap.log.0  changes since it was written last, in two journals by turns
 *   samap.log.1
 *
 * A change is in a journal when its function returns: one small write without
 * fsync, so that a handshake waits for no disk.  A process that is killed loses
 * nothing.  qcd_samap_flush makes all changes durable; called once a second, a
 * power cut costs the last second at the most, and never the map: a record of
 * a journal that is not whole ends it, and LMDB's commits are atomic.
 *
 * The map is a hint and no evidence: that an IKE SA is dead, its sealed SPI
 * says (RFC 6290 section 9.2).  A map that is damaged is put aside as
 * samap.damaged and a new one begun; all that is lost are answers to ESP.
 *
 * All functions are thread-safe.  None of them keeps a pointer that it was
 * given.  The folder is one that this process has open as a qcd_store, whose
 * lock keeps a second process away. */
#ifndef QCD_SAMAP_H
#define QCD_SAMAP_H

#include "store.h"

#define QCD_SAMAP_ROWS_MAX 1048576 /* rows that a map can have */
#define QCD_SAMAP_PEER_LEN 16

/* qcd_samap is an open map. */
typedef struct qcd_samap qcd_samap;

/* qcd_samap_row is an inbound child SA.  All members are the caller's to set.
 * Its key is `child_spi` alone: where two have the same SPI at two addresses,
 * the later one takes the place of the earlier. */
typedef struct qcd_samap_row {
    uint8_t child_spi[4];
    uint8_t protocol; /* 50 for ESP, 51 for AH */
    bool encap;       /* in UDP */
    uint8_t node;     /* that has or had the SA, and the run that owns it */
    uint16_t run;
    enum qcd_role role; /* whose SPI of `spis` is ours */
    qcd_spis spis;      /* of the IKE SA */
    qcd_address local; /* where the IKE SA's messages come in, and from where */
    qcd_address peer;
    uint16_t local_port;
    uint16_t peer_port;
    uint8_t peer_id[QCD_SAMAP_PEER_LEN]; /* the same for all SAs with a peer */
    uint64_t expires; /* seconds since 1970, or 0 where nothing is known */
} qcd_samap_row;

/* qcd_samap_open opens the map in the folder `path`, or makes a new one, and
 * takes in what the journals have.  A damaged one, or one of a newer version,
 * is set aside and a new one begun: that is a success, and `report` tells.
 * Where the disk is full, what the journals have stays in them: a success with
 * a report, too.  On success the caller owns `*out`.
 *
 * Damage is looked for in a child process, so that none can take the caller
 * down.  It ends before this returns; other children and the handlers of
 * signals are left alone.  With threads, fork's own rules hold.
 *
 *   QCD_STORE_ERR_SYSTEM  a file can't be read or written
 *   QCD_STORE_ERR_UNSAFE  a file is too open, of another owner, not regular */
QCD_NODISCARD enum qcd_store_err
qcd_samap_open(qcd_samap **out, qcd_store_report *report, const char *path);

/* qcd_samap_close flushes and frees `map`, which may be NULL.  What can't be
 * flushed is in a journal still. */
void qcd_samap_close(qcd_samap *map);

/* qcd_samap_put adds a row, or puts it in the place of the one with its SPI.
 * Thousands of changes after the last flush it flushes by itself.
 *
 *   QCD_STORE_ERR_SYSTEM     it could not be written; nothing is changed
 *   QCD_STORE_ERR_EXHAUSTED  there are QCD_SAMAP_ROWS_MAX rows; likewise */
QCD_NODISCARD enum qcd_store_err qcd_samap_put(qcd_samap *map,
                                               qcd_store_report *report,
                                               const qcd_samap_row *row);

/* qcd_samap_remove removes `row` as it was found: not one of another IKE SA
 * that has taken its SPI since.  `*out_removed` tells whether it did.
 *
 *   QCD_STORE_ERR_SYSTEM  it could not be written; nothing is changed */
QCD_NODISCARD enum qcd_store_err qcd_samap_remove(qcd_samap *map,
                                                  qcd_store_report *report,
                                                  bool *out_removed,
                                                  const qcd_samap_row *row);

/* qcd_samap_flush makes all changes durable that were made before its call.
 * Others may be made meanwhile, they don't wait for the disk.
 *
 *   QCD_STORE_ERR_SYSTEM  it could not be written (the disk may be full): the
 *                         changes stay in the journals; call it again later */
QCD_NODISCARD enum qcd_store_err qcd_samap_flush(qcd_samap *map,
                                                 qcd_store_report *report);

/* qcd_samap_find finds the row of `child_spi`, as the last change left it.  It
 * returns false, with `out` all zero, where there is none. */
QCD_NODISCARD bool qcd_samap_find(qcd_samap *map, qcd_samap_row *out,
                                  const uint8_t child_spi[4]);

/* qcd_samap_visit is called with each row of a walk; the map's functions must
 * not be called in it.  It may change the row's `expires`, and no other member:
 * that is not taken over.  It returns what becomes of the row. */
enum qcd_samap_fate {
    QCD_SAMAP_KEEP = 0,
    QCD_SAMAP_UPDATE = 1, /* `expires` was changed */
    QCD_SAMAP_DROP = 2
};
typedef enum qcd_samap_fate qcd_samap_visit(void *user, qcd_samap_row *row);

/* qcd_samap_walk flushes, visits each row in the order of the SPIs, and makes
 * durable what became of them.  Others may make changes meanwhile: a row that
 * is put or removed after the flush is passed over, or keeps what they did.
 *
 *   QCD_STORE_ERR_SYSTEM  as qcd_samap_flush; then some rows may have been
 *                         visited and changed, in the order of the SPIs, and
 *                         the others not */
QCD_NODISCARD enum qcd_store_err qcd_samap_walk(qcd_samap *map,
                                                qcd_store_report *report,
                                                qcd_samap_visit *visit,
                                                void *user);

/* qcd_samap_walk_peer visits the rows of the peer `peer_id`, as the last change
 * left them, in any order and at most `max` of them.  What the visit returns is
 * passed over. */
void qcd_samap_walk_peer(qcd_samap *map,
                         const uint8_t peer_id[QCD_SAMAP_PEER_LEN], size_t max,
                         qcd_samap_visit *visit, void *user);

/* qcd_samap_place is a place in the order of IKE SAs; all zero is before the
 * first. */
typedef struct qcd_samap_place {
    uint8_t opaque[QCD_SAMAP_PEER_LEN + QCD_SPI_LEN + 1];
} qcd_samap_place;

/* qcd_samap_next_sa moves `place` on to the next IKE SA that has a row, and
 * gives one row of it.  One whose rows were all put or moved to it since the
 * last flush is not seen yet.  It returns false, with `out` all zero, behind
 * the last one.  Rows may come and go between calls. */
QCD_NODISCARD bool qcd_samap_next_sa(qcd_samap *map, qcd_samap_row *out,
                                     qcd_samap_place *place);

/* qcd_samap_count counts the rows, which takes longer the more changes there
 * are since the last flush. */
size_t qcd_samap_count(qcd_samap *map);

#endif
