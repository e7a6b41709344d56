/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_store.c: a folder with any files, and what daemons and administrators do
 * with it.
 *
 * The input is steps: one octet that chooses it, and what it reads.  Steps
 * write the files of the folder: any octets, or a frame with any body, which
 * may have the digest of the sealing key and the birth that belong to it.
 * Others open the folder, rotate, share, import and adopt.
 *
 *   - an open folder has secrets that an administrator reads as well, and a
 *     maker can start with them;
 *   - with one sealing key no run is started twice;
 *   - what can't be used is not lost: the octets of the secrets are still there
 *     under some name. */
#include "fuzz_folder.h"

#include "rd.h"
#include "store/secrets.h"
#include "wr.h"

enum {
    KEYS_MAX = 64,
    TEXT_MAX = 300,
    RUN_LEN = KEYFILE_BIRTH_LEN + 65 + KEY_DIGEST_LEN + 2 + 2 + 32
};

static fuzz_folder folder_of;
static rd r;
static qcd_store *store;
static qcd_store_report report;
static qcd_store_identity identity;

/* The last run that was started with each sealing key that a store had. */
static struct {
    uint8_t key[QCD_SEAL_KEY_LEN];
    uint16_t run;
} keys[KEYS_MAX];
static size_t num_keys;

static const uint8_t *next_octets(size_t *out_len)
{
    size_t len = rd_be16(&r) % 1024;

    *out_len = len < r.len ? len : r.len;
    return rd_bytes(&r, *out_len);
}

/* ---- Files ------------------------------------------------------------- */

static void step_write(void)
{
    static const char *const names[] = {"secrets",     "run",     "lock",
                                        "secrets.tmp", "machine", "product"};
    uint8_t choice = rd_u8(&r);
    size_t len;
    const uint8_t *octets = next_octets(&len);

    if (octets != NULL) {
        fuzz_folder_write(&folder_of, names[choice % 6], octets, len);
    }
}

/* set_birth makes a body tell the birth of its file. */
static void set_birth(keyfile_body *body, int fd)
{
    struct statx now = {0};
    wr w;

    DEMAND(statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &now) == 0);
    bool has_time = (now.stx_mask & STATX_BTIME) != 0;
    wr_init(&w, body->octets, KEYFILE_BIRTH_LEN);
    wr_be64(&w, now.stx_ino);
    wr_u8(&w, has_time ? 1 : 0);
    wr_be64(&w, has_time ? (uint64_t)now.stx_btime.tv_sec : 0);
    wr_be32(&w, has_time ? now.stx_btime.tv_nsec : 0);
}

/* set_ties makes a run file fit this machine and the secrets that are there. */
static void set_ties(keyfile_body *body, uint8_t choice)
{
    uint8_t *at = body->octets + KEYFILE_BIRTH_LEN;
    identity_print print;
    qcd_secrets secrets;

    identity_print_make(&print, &identity);
    if ((choice & 4) != 0) {
        at[0] = print.is_hidden ? 1 : 0;
        memcpy(at + 1, print.machine, sizeof(print.machine));
        memcpy(at + 1 + sizeof(print.machine), print.product,
               sizeof(print.product));
    }
    at += 1 + sizeof(print.machine) + sizeof(print.product);
    if ((choice & 8) != 0 && store == NULL &&
        qcd_store_peek(&secrets, &report, folder_of.path) == QCD_STORE_OK) {
        secrets_digest(at, &secrets);
    }
}

static void write_framed(const keyfile_kind *kind)
{
    static uint8_t frame[KEYFILE_MAX];
    uint8_t choice = rd_u8(&r);
    keyfile_body body = {.version = choice & 3};
    size_t len;
    const uint8_t *octets = next_octets(&len);

    if (octets == NULL) {
        return;
    }
    memcpy(body.octets, octets, len);
    body.len = len;
    int fd = fuzz_folder_open(&folder_of, kind->file.name);
    if (kind->birth_version != 0 && len >= RUN_LEN) {
        if ((choice & 16) != 0) {
            set_birth(&body, fd);
        }
        set_ties(&body, choice);
    }
    len = keyfile_encode(frame, kind, &body);
    DEMAND(ftruncate(fd, 0) == 0);
    DEMAND(pwrite(fd, frame, len, 0) == (ssize_t)len);
    DEMAND(close(fd) == 0);
}

static void step_secrets(void)
{
    write_framed(&secrets_kind);
}

static void step_run(void)
{
    write_framed(&run_kind);
}

/* ---- A daemon ---------------------------------------------------------- */

/* A run that is started is above all runs of the same key before it.  A file
 * that the input wrote may say anything, so the key is then a new one. */
static void note_run(void)
{
    const qcd_secrets *secrets = qcd_store_secrets(store);
    uint16_t run = qcd_store_run(store);
    size_t i = 0;

    DEMAND(run != 0);
    while (i < num_keys &&
           memcmp(keys[i].key, secrets->seal_key, QCD_SEAL_KEY_LEN) != 0) {
        i++;
    }
    if (i < num_keys) {
        DEMAND(run > keys[i].run);
        keys[i].run = run;
    } else if (num_keys < KEYS_MAX) {
        memcpy(keys[num_keys].key, secrets->seal_key, QCD_SEAL_KEY_LEN);
        keys[num_keys++].run = run;
    }
}

/* has_octets tells whether a file in the folder has these octets. */
static bool has_octets(const uint8_t *octets, size_t len)
{
    static const char *const names[] = {"secrets", "secrets.old",
                                        "secrets.damaged"};
    uint8_t got[KEYFILE_MAX + 2];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int fd = openat(folder_of.fd, names[i], O_RDONLY | O_CLOEXEC);
        ssize_t num = fd < 0 ? -1 : read(fd, got, sizeof(got));
        if (fd >= 0) {
            (void)close(fd);
        }
        if (num == (ssize_t)len && memcmp(got, octets, len) == 0) {
            return true;
        }
    }
    return false;
}

static void close_store(void)
{
    qcd_store_close(store);
    store = NULL;
}

static void step_open(void)
{
    static uint8_t before[KEYFILE_MAX + 2];
    const qcd_store_settings settings = {
        .path = folder_of.path, .identity = &identity, .node = rd_u8(&r)};
    static qcd_maker maker;
    const qcd_maker_settings making = {.node = settings.node,
                                       .token_len = QCD_TOKEN_MIN};
    qcd_maker_state state;
    qcd_secrets peeked;

    close_store();
    int fd = openat(folder_of.fd, "secrets", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, before, sizeof(before));
    if (fd >= 0) {
        (void)close(fd);
    }
    enum qcd_store_err err =
        qcd_store_open(&store, &report, &settings, rd_u8(&r));
    DEMAND((err == QCD_STORE_OK) == (store != NULL));
    DEMAND(len < 0 || has_octets(before, (size_t)len));
    if (store == NULL) {
        DEMAND(report.text[0] != '\0');
        return;
    }
    note_run();
    DEMAND(qcd_store_peek(&peeked, &report, folder_of.path) == QCD_STORE_OK);
    DEMAND(memcmp(&peeked, qcd_store_secrets(store), sizeof(peeked)) == 0);
    DEMAND(qcd_store_state(store, &report, &state) == QCD_STORE_OK);
    DEMAND(qcd_maker_init(&maker, &making, &state) == QCD_OK);
    DEMAND(qcd_maker_run(&maker) == qcd_store_run(store));
    DEMAND(qcd_store_state(store, &report, &state) == QCD_STORE_ERR_GIVEN);
}

static void step_next_run(void)
{
    if (store != NULL) {
        uint16_t before = qcd_store_run(store);
        enum qcd_store_err err = qcd_store_next_run(store, &report);
        DEMAND((err == QCD_STORE_ERR_EXHAUSTED) == (before == UINT16_MAX));
        DEMAND(err == QCD_STORE_OK || err == QCD_STORE_ERR_EXHAUSTED);
        if (err == QCD_STORE_OK) {
            note_run();
        }
    }
}

static void step_rotate(void)
{
    if (store != NULL) {
        const qcd_secret before = qcd_store_secrets(store)->generations[0];
        DEMAND(qcd_store_rotate(store, &report, rd_u8(&r)) == QCD_STORE_OK);
        const qcd_secrets *now = qcd_store_secrets(store);
        DEMAND(now->num_generations >= 2);
        DEMAND(memcmp(&now->generations[0], &before, sizeof(before)) != 0);
        DEMAND(memcmp(&now->generations[1], &before, sizeof(before)) == 0);
        DEMAND(qcd_store_age(store, UINT32_MAX) <= UINT32_MAX);
    }
}

static void step_close(void)
{
    close_store();
}

/* ---- An administrator -------------------------------------------------- */

static void step_identity(void)
{
    char machine[TEXT_MAX];
    char product[TEXT_MAX];

    /* The last two are the folder itself, and what is in no folder. */
    static const char *const names[] = {"machine", "machine", "", "lock/x"};
    const char *name = names[rd_u8(&r) % 4];

    (void)snprintf(machine, sizeof(machine), "%s/%s", folder_of.path, name);
    (void)snprintf(product, sizeof(product), "%s/product", folder_of.path);
    enum qcd_store_err err =
        qcd_store_identity_read(&identity, &report, machine, product);
    DEMAND(err == QCD_STORE_OK || err == QCD_STORE_ERR_DAMAGED ||
           err == QCD_STORE_ERR_SYSTEM);
    DEMAND(err == QCD_STORE_OK || report.text[0] != '\0');
    DEMAND(identity.len <= QCD_STORE_IDENTITY_MAX);
    DEMAND(err == QCD_STORE_OK || identity.len == 0);
    DEMAND(identity.product_len <= QCD_STORE_IDENTITY_MAX);
}

static void step_adopt(void)
{
    enum qcd_store_err err =
        qcd_store_adopt(&report, folder_of.path, &identity);
    DEMAND(store == NULL || err == QCD_STORE_ERR_BUSY);
    DEMAND(report.text[0] != '\0');
}

/* What one gateway shares, it can import again. */
static void step_share(void)
{
    qcd_secrets shared;

    enum qcd_store_err err =
        qcd_store_share(&shared, &report, folder_of.path, &identity);
    if (err != QCD_STORE_OK) {
        DEMAND(fuzz_is_zero(&shared, sizeof(shared)));
        return;
    }
    if (rd_u8(&r) % 2 == 0) {
        shared.seal_key[0] ^= rd_u8(&r) % 2;
        shared.generations[0].octets[0] ^= rd_u8(&r);
    }
    err = qcd_store_import(&report, folder_of.path, &shared, &identity);
    DEMAND(store == NULL || err == QCD_STORE_ERR_BUSY);
    DEMAND(err != QCD_STORE_OK || report.text[0] != '\0');
}

static void step_import(void)
{
    qcd_secrets given = {.num_generations = 1 + rd_u8(&r) % 4};

    rd_copy(&r, given.seal_key, 4);
    rd_copy(&r, given.generations[0].octets, 4);
    given.generations[1].octets[0] = 1;
    given.generations[2].octets[0] = 2;
    given.generations[3].octets[0] = 3;
    given.taken[0] = rd_u8(&r);
    enum qcd_store_err err =
        qcd_store_import(&report, folder_of.path, &given, &identity);
    DEMAND(store == NULL || err == QCD_STORE_ERR_BUSY);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static void (*const steps[])(void) = {
        step_write,  step_secrets, step_run,      step_open,
        step_rotate, step_close,   step_next_run, step_identity,
        step_adopt,  step_share,   step_import};

    fuzz_folder_make(&folder_of);
    rd_init(&r, in, in_len);
    num_keys = 0;
    memset(&identity, 0, sizeof(identity));
    while (r.len > 0) {
        uint8_t choice = rd_u8(&r) % (sizeof(steps) / sizeof(steps[0]));
        /* Files that the input writes may bring back an earlier run, which a
         * daemon can only tell by the file's birth. */
        if (choice <= 2) {
            close_store();
            num_keys = 0;
        }
        steps[choice]();
    }
    close_store();
    fuzz_folder_remove(&folder_of);
    return 0;
}
