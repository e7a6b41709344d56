/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_map.c: the SA map over starts of the daemon and damage to its file.
 *
 * The input is steps: one octet that chooses it, and what it reads.  Rows are
 * put, removed, found and walked, the daemon is killed, and between two starts
 * the file is damaged.
 *
 *   - a row that is found is one that was put under its SPI;
 *   - without damage it is the latest one, and none is missing;
 *   - damage costs the slots that it touches, and no other;
 *   - the map never names a live SA as lost (RFC 6290 section 8.2). */
#include "fuzz_folder.h"

#include "parts.h"
#include "store/samap_row.h"

enum { NUM_SPIS = 48, PUTS_MAX = 256, SLOT_LEN = SAMAP_SLOT_LEN };

/* A folder that was copied or is shared has rows of another node. */
enum { NODE = 1, OTHER_NODE };

static fuzz_folder folder_of;
static rd r;
static qcd_samap *map;
static qcd_store_report report;
static qcd_maker maker;

/* What was put under each SPI, the latest last.  After the damage of a slot an
 * earlier row may come back. */
static struct {
    qcd_samap_row row;
    uint8_t spi;
} puts_of[PUTS_MAX];
static size_t num_puts;
static int latest[NUM_SPIS];   /* in puts_of, or -1 if there is no row */
static bool is_live[PUTS_MAX]; /* whether our node has the IKE SA of each */

static const uint8_t *next_octets(size_t *out_len)
{
    size_t len = rd_be16(&r) % 1024;

    *out_len = len < r.len ? len : r.len;
    return rd_bytes(&r, *out_len);
}

static qcd_child_spi spi_of(uint8_t which)
{
    return (qcd_child_spi){{0xc0, 0, 0, (uint8_t)(which % (NUM_SPIS / 2))},
                           which < NUM_SPIS / 2 ? QCD_ESP : QCD_AH};
}

static void start_maker(uint16_t run)
{
    const qcd_maker_settings settings = {.node = NODE,
                                         .token_len = QCD_TOKEN_MIN,
                                         .reply_rate = 1000,
                                         .reply_burst = 1000,
                                         .source_rate = 10};
    const qcd_maker_state state = {
        .num_secrets = 1, .run = run, .seal_key = {1}};

    DEMAND(qcd_maker_init(&maker, &settings, &state) == QCD_OK);
    memset(is_live, 0, sizeof(is_live));
}

static void open_map(void)
{
    DEMAND(qcd_samap_open(&map, &report, folder_of.path) == QCD_STORE_OK);
}

/* ---- Checks ------------------------------------------------------------ */

/* may_live tells whether the IKE SA of a row may be live.  What another node
 * has of its own is unknown. */
static bool may_live(size_t i)
{
    return is_live[i] || puts_of[i].row.node == OTHER_NODE;
}

/* check_row checks a row that the map has, and returns what it is in the
 * model. */
static size_t check_row(const qcd_samap_row *row)
{
    size_t i = num_puts;

    while (i > 0 && memcmp(&puts_of[i - 1].row, row, sizeof(*row)) != 0) {
        i--;
    }
    DEMAND(i > 0);
    DEMAND(!may_live(i - 1) || !qcd_maker_is_lost(&maker, &row->sa));
    const qcd_lost lost = {.sa = row->sa,
                           .child_spi = row->child_spi,
                           .peer = row->peer,
                           .peer_port = row->peer_port};
    DEMAND(!may_live(i - 1) ||
           qcd_maker_judge_lost(&maker, &lost, NULL, 1000) != QCD_ANSWER);
    return i - 1;
}

static size_t num_rows_of_model(void)
{
    size_t num = 0;

    for (size_t i = 0; i < NUM_SPIS; i++) {
        num += latest[i] >= 0 ? 1 : 0;
    }
    return num;
}

static void check_find(uint8_t which)
{
    qcd_samap_row row;
    const qcd_child_spi spi = spi_of(which);

    if (!qcd_samap_find(map, &row, &spi)) {
        DEMAND(fuzz_is_zero(&row, sizeof(row)));
        DEMAND(latest[which] < 0);
        return;
    }
    size_t i = check_row(&row);
    DEMAND(puts_of[i].spi == which);
    DEMAND((int)i == latest[which]);
}

/* ---- Steps ------------------------------------------------------------- */

/* An SPI of our node, or of another that has the same seal key and run. */
static qcd_spi next_spi(uint8_t node)
{
    const qcd_origin theirs = {OTHER_NODE, qcd_maker_run(&maker),
                               (uint32_t)num_puts};
    qcd_spi spi;

    DEMAND((node == NODE ? qcd_maker_mint(&maker, &spi)
                         : spi_seal(&spi, &maker.seal, &theirs)) == QCD_OK);
    return spi;
}

static void fill_row(qcd_samap_row *out, uint8_t which)
{
    uint8_t choice = rd_u8(&r);
    uint8_t node = (choice & 8) != 0 ? OTHER_NODE : NODE;
    const qcd_spi ours = next_spi(node);

    memset(out, 0, sizeof(*out));
    out->child_spi = spi_of(which);
    out->encap = (choice & 1) != 0;
    out->node = node;
    out->run = qcd_maker_run(&maker);
    out->sa.role = (choice & 2) != 0 ? QCD_INITIATOR : QCD_RESPONDER;
    if (out->sa.role == QCD_INITIATOR) {
        out->sa.spis = (qcd_spis){ours, {{9, choice}}};
    } else {
        out->sa.spis = (qcd_spis){{{9, choice}}, ours};
    }
    out->local = (qcd_address){4, {192, 0, 2, 1}};
    out->peer = (qcd_address){(choice & 4) != 0 ? 16 : 4, {32, choice}};
    out->peer_port = choice;
    out->peer_id[0] = choice;
    out->expires = choice;
}

static void step_put(void)
{
    uint8_t which = rd_u8(&r) % NUM_SPIS;

    if (num_puts == PUTS_MAX) {
        return;
    }
    fill_row(&puts_of[num_puts].row, which);
    puts_of[num_puts].spi = which;
    is_live[num_puts] = true;
    DEMAND(qcd_samap_put(map, &report, &puts_of[num_puts].row) == QCD_STORE_OK);
    latest[which] = (int)num_puts++;
}

/* A daemon removes the row that it has put, which may not be there any more. */
static void step_remove(void)
{
    bool is_removed;

    if (num_puts == 0) {
        return;
    }
    size_t i = rd_u8(&r) % num_puts;
    uint8_t which = puts_of[i].spi;
    int now = latest[which];
    bool is_there =
        now >= 0 && memcmp(&puts_of[i].row.sa.spis, &puts_of[now].row.sa.spis,
                           sizeof(qcd_spis)) == 0;

    DEMAND(qcd_samap_remove(map, &report, &is_removed, &puts_of[i].row) ==
           QCD_STORE_OK);
    DEMAND(is_removed == is_there);
    latest[which] = is_removed ? -1 : now;
}

static void step_find(void)
{
    check_find(rd_u8(&r) % NUM_SPIS);
}

typedef struct walk {
    size_t num;
    uint8_t choice;
} walk;

static enum qcd_samap_fate visit(void *user, qcd_samap_row *row)
{
    walk *w = user;
    size_t i = check_row(row);
    int mode = (w->choice >> w->num % 4 * 2) & 3;

    DEMAND((int)i == latest[puts_of[i].spi]);
    w->num++;
    row->node ^= 1; /* which is ignored */
    if (mode == QCD_SAMAP_UPDATE && num_puts < PUTS_MAX) {
        puts_of[num_puts] = puts_of[i];
        puts_of[num_puts].row.expires = ++row->expires;
        is_live[num_puts] = is_live[i];
        latest[puts_of[i].spi] = (int)num_puts++;
        return QCD_SAMAP_UPDATE;
    }
    if (mode == QCD_SAMAP_DROP) {
        latest[puts_of[i].spi] = -1;
        return QCD_SAMAP_DROP;
    }
    return QCD_SAMAP_KEEP;
}

static void step_walk(void)
{
    walk w = {.choice = rd_u8(&r)};
    size_t num = num_rows_of_model();

    DEMAND(qcd_samap_count(map) == num);
    DEMAND(qcd_samap_walk(map, &report, visit, &w) == QCD_STORE_OK);
    DEMAND(w.num == num);
    DEMAND(qcd_samap_count(map) == num_rows_of_model());
}

static void step_flush(void)
{
    DEMAND(qcd_samap_flush(map, &report) == QCD_STORE_OK);
}

/* The daemon starts again: SAs of before are dead. */
static void step_restart(void)
{
    qcd_samap_close(map);
    start_maker((uint16_t)(qcd_maker_run(&maker) + 1));
    open_map();
    DEMAND(qcd_samap_count(map) == num_rows_of_model());
    DEMAND(report.text[0] == '\0');
}

/* ---- Damage ------------------------------------------------------------ */

/* damage changes octets of the file, cuts it off, or copies a slot to another.
 * It returns the most slots that it can have touched. */
static size_t damage(int fd, size_t *out_copied)
{
    uint8_t choice = rd_u8(&r) % 5;
    uint8_t slot[SLOT_LEN];
    size_t len;
    off_t at = rd_be16(&r) % (SLOT_LEN * NUM_SPIS * 2);

    if (choice == 0) {
        const uint8_t *octets = next_octets(&len);
        DEMAND(octets == NULL || pwrite(fd, octets, len, at) == (ssize_t)len);
        return octets == NULL ? 0 : len / SLOT_LEN + 2;
    }
    if (choice == 1) {
        DEMAND(ftruncate(fd, at) == 0);
        return SIZE_MAX;
    }
    if (choice == 4) { /* another version: the map is set aside whole */
        samap_head_encode(slot, (uint16_t)(at % 5));
        DEMAND(pwrite(fd, slot, sizeof(slot), 0) == SLOT_LEN);
        return SIZE_MAX;
    }
    at -= at % SLOT_LEN;
    off_t from = SLOT_LEN * (rd_u8(&r) % (NUM_SPIS * 2));
    if (pread(fd, slot, sizeof(slot), from) == SLOT_LEN) {
        DEMAND(pwrite(fd, slot, sizeof(slot), at) == SLOT_LEN);
    }
    *out_copied += 1;
    return 1;
}

/* relearn makes the model know what is left.  What is there must have been put
 * under its SPI, even if it was removed since. */
static void relearn(void)
{
    for (uint8_t i = 0; i < NUM_SPIS; i++) {
        qcd_samap_row row;
        const qcd_child_spi spi = spi_of(i);

        latest[i] = -1;
        if (qcd_samap_find(map, &row, &spi)) {
            latest[i] = (int)check_row(&row);
            DEMAND(puts_of[latest[i]].spi == i);
        }
    }
    DEMAND(qcd_samap_count(map) == num_rows_of_model());
}

/* The file of an open map is damaged.  What it gives was put. */
static void step_rot(void)
{
    uint8_t octets[4] = {0};
    off_t at = rd_be16(&r) % (SLOT_LEN * NUM_SPIS);

    int fd = fuzz_folder_open(&folder_of, "samap");
    rd_copy(&r, octets, sizeof(octets));
    DEMAND(pwrite(fd, octets, sizeof(octets), at) == sizeof(octets));
    (void)close(fd);
    for (uint8_t i = 0; i < NUM_SPIS; i++) {
        qcd_samap_row row;
        const qcd_child_spi spi = spi_of(i);
        if (qcd_samap_find(map, &row, &spi)) {
            (void)check_row(&row);
        } else {
            DEMAND(fuzz_is_zero(&row, sizeof(row)));
        }
    }
    qcd_samap_close(map);
    open_map();
    relearn();
    step_restart();
}

/* A map that others may have written is not used. */
static void step_unsafe(void)
{
    qcd_samap_close(map);
    int fd = fuzz_folder_open(&folder_of, "samap");
    DEMAND(fchmod(fd, 0644) == 0);
    DEMAND(qcd_samap_open(&map, &report, folder_of.path) ==
           QCD_STORE_ERR_UNSAFE);
    DEMAND(map == NULL && report.text[0] != '\0');
    qcd_samap_close(NULL);
    DEMAND(fchmod(fd, 0600) == 0);
    (void)close(fd);
    open_map();
}

/* A map of before version 2 was an LMDB file, and is set aside whole. */
static bool is_lmdb(int fd)
{
    static const uint8_t magic[] = {0xde, 0xc0, 0xef, 0xbe};
    uint8_t octets[sizeof(magic)];

    return pread(fd, octets, sizeof(octets), 16) == sizeof(octets) &&
           memcmp(octets, magic, sizeof(magic)) == 0;
}

static void step_damage(void)
{
    size_t before = num_rows_of_model();
    size_t num_copied = 0;

    qcd_samap_close(map);
    int fd = fuzz_folder_open(&folder_of, "samap");
    size_t touched = damage(fd, &num_copied);
    touched = is_lmdb(fd) ? SIZE_MAX : touched;
    (void)close(fd);
    start_maker((uint16_t)(qcd_maker_run(&maker) + 1));
    open_map();
    relearn();
    size_t after = num_rows_of_model();
    DEMAND(after <= before + num_copied);
    /* With nothing but damage there is a new map. */
    DEMAND(touched == SIZE_MAX || after + touched >= before);
    step_restart();
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static void (*const steps[])(void) = {
        step_put,    step_put,  step_put,   step_remove,
        step_find,   step_walk, step_flush, step_restart,
        step_damage, step_put,  step_rot,   step_unsafe};

    fuzz_folder_make(&folder_of);
    rd_init(&r, in, in_len);
    num_puts = 0;
    memset(latest, 0xff, sizeof(latest));
    start_maker(1);
    open_map();
    while (r.len > 0) {
        steps[rd_u8(&r) % (sizeof(steps) / sizeof(steps[0]))]();
    }
    for (uint8_t i = 0; i < NUM_SPIS; i++) {
        check_find(i);
    }
    step_restart();
    relearn();
    qcd_samap_close(map);
    fuzz_folder_remove(&folder_of);
    return 0;
}
