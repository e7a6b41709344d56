/* SPDX-License-Identifier: Apache-2.0 */
/* prove_store.c: the public functions of the store, with any arguments, on any
 * content of the files, and a system of which each call may fail.  One process
 * opens a folder and makes any sequence of calls.  What another process or an
 * earlier run did is only in the files. */
#include <qcd/store.h>

#include "proof.h"
#include "store/secrets.h"

#define PATH_LEN 8

enum qcd_store_err real_secrets_write(qcd_store_report *report,
                                      const folder *dir,
                                      const qcd_secrets *secrets);

static char path[PATH_LEN];
static char name[PATH_LEN];

static void any_identity(qcd_store_identity *out)
{
    unknown(out, sizeof(*out));
    out->len = any_size(0, QCD_STORE_IDENTITY_MAX);
    out->is_product_hidden = any_bool();
    out->product_len = any_size(0, QCD_STORE_IDENTITY_MAX);
}

/* A caller's report may hold anything.  It ends, since EVA does not see that
 * what follows an empty text is not read. */
static void any_report(qcd_store_report *out)
{
    unknown(out, sizeof(*out));
    out->text[sizeof(out->text) - 1] = '\0';
}

/* The secrets file has a length for each number of generations. */
enum qcd_store_err secrets_write(qcd_store_report *report, const folder *dir,
                                 const qcd_secrets *secrets)
{
    //@ split secrets->num_generations;
    enum qcd_store_err err = real_secrets_write(report, dir, secrets);
    //@ merge secrets->num_generations;
    return err;
}

static void use(qcd_store *store)
{
    qcd_store_report report;
    qcd_maker_state state;
    const qcd_secrets *secrets;

    switch (Frama_C_interval(0, 3)) {
    case 0:
        if (qcd_store_state(store, &report, &state) == QCD_STORE_OK) {
            //@ assert 1 <= state.num_secrets <= QCD_GENERATIONS_MAX;
        }
        break;
    case 1:
        (void)!qcd_store_next_run(store, &report);
        break;
    case 2:
        (void)!qcd_store_rotate(store, &report, any_u64());
        break;
    default:
        (void)qcd_store_is_volatile(store);
        (void)qcd_store_age(store, any_u64());
        secrets = qcd_store_secrets(store);
        //@ assert 1 <= secrets->num_generations <= QCD_GENERATIONS_MAX;
        uint16_t run = qcd_store_run(store);
        //@ assert run > 0;
    }
}

static void run_daemon(void)
{
    qcd_store_identity identity;
    qcd_store_user user = {any_u32(), any_u32()};
    const qcd_store_settings settings = {
        .path = path,
        .identity = any_bool() ? &identity : NULL,
        .user = any_bool() ? &user : NULL,
        .node = (uint8_t)any_u32(),
    };
    qcd_store_report report;
    qcd_store *store;

    any_identity(&identity);
    any_report(&report);
    if (qcd_store_open(&store, &report, &settings, any_u64()) != QCD_STORE_OK) {
        //@ assert store == \null;
        qcd_store_close(store);
        return;
    }
    while (any_bool()) {
        use(store);
    }
    qcd_store_close(store);
}

static void administer(void)
{
    qcd_store_identity identity;
    qcd_store_report report;
    qcd_secrets secrets;

    any_identity(&identity);
    any_report(&report);
    switch (Frama_C_interval(0, 4)) {
    case 0:
        (void)!qcd_store_adopt(&report, path, &identity);
        break;
    case 1:
        (void)!qcd_store_peek(&secrets, &report, path);
        //@ assert secrets.num_generations <= QCD_GENERATIONS_MAX;
        break;
    case 2:
        (void)!qcd_store_share(&secrets, &report, path, &identity);
        //@ assert secrets.num_generations <= QCD_GENERATIONS_MAX;
        break;
    case 3:
        unknown(&secrets, sizeof(secrets));
        secrets.num_generations = any_size(1, QCD_GENERATIONS_MAX);
        (void)!qcd_store_import(&report, path, &secrets, &identity);
        break;
    default:
        (void)!qcd_store_identity_read(&identity, &report, path, name);
        //@ assert identity.len <= QCD_STORE_IDENTITY_MAX;
        //@ assert identity.product_len <= QCD_STORE_IDENTITY_MAX;
    }
}

int main(void)
{
    unknown(path, sizeof(path) - 1);
    unknown(name, sizeof(name) - 1);
    if (any_bool()) {
        run_daemon();
    } else {
        administer();
    }
    return 0;
}
