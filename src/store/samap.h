/* SPDX-License-Identifier: Apache-2.0 */
/* samap.h: the SA map, from the SPI of each inbound child SA to the IKE SA that
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
QCD_NODISCARD enum qcd_store_err
qcd_samap_open(qcd_samap **out, qcd_store_report *report, const char *path);

/* qcd_samap_close flushes and frees `map`, which may be NULL. */
void qcd_samap_close(qcd_samap *map);

/* qcd_samap_put adds a row, or puts it in the place of the one with its SPI.
 *
 *   QCD_STORE_ERR_SYSTEM     it could not be written (the disk may be full, and
 *                            the file has to grow); nothing is changed
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
 *   QCD_STORE_ERR_SYSTEM  the disk has an error: call it again later */
QCD_NODISCARD enum qcd_store_err qcd_samap_flush(qcd_samap *map,
                                                 qcd_store_report *report);

/* qcd_samap_find finds the row of `child_spi`, as the last change left it.  It
 * returns false, with `out` all zero, where there is none. */
QCD_NODISCARD bool qcd_samap_find(qcd_samap *map, qcd_samap_row *out,
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
QCD_NODISCARD enum qcd_store_err qcd_samap_walk(qcd_samap *map,
                                                qcd_store_report *report,
                                                qcd_samap_visit *visit,
                                                void *user);

/* qcd_samap_count counts the rows. */
size_t qcd_samap_count(qcd_samap *map);

#endif
