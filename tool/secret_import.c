/* SPDX-License-Identifier: Apache-2.0 */
/* secret_import.c: qcd secret import, imports secrets of another gateway of the
 * group.  This gateway must have another node number. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bundle.h"
#include "passphrase.h"
#include "secret.h"

/* The text may be surrounded by lines of mail. */
#define INPUT_MAX ((size_t)8 * BUNDLE_TEXT_MAX)

/* read_lines reads up to the last line of an export, or to the end. */
static bool read_lines(char out[INPUT_MAX], FILE *file)
{
    size_t len = 0;
    out[0] = '\0';
    while (len + 1 < INPUT_MAX &&
           fgets(out + len, (int)(INPUT_MAX - len), file) != NULL) {
        const char *line = out + len;
        len += strlen(line);
        if (strstr(line, BUNDLE_LAST_LINE) != NULL) {
            break;
        }
    }
    return ferror(file) == 0;
}

static bool read_text(char out[INPUT_MAX], const options *opts, sentence *why)
{
    const char *path = opts->num_arguments > 0 ? opts->arguments[0] : "-";
    if (strcmp(path, "-") == 0) {
        if (isatty(STDIN_FILENO) != 0) {
            output_note("paste the export, including its last line");
        }
        if (!read_lines(out, stdin)) {
            sentence_set(why, "cannot read standard input");
            return false;
        }
        return true;
    }
    FILE *file = fopen(path, "re");
    bool is_read = file != NULL && read_lines(out, file);
    if (!is_read) {
        sentence_set(why, "cannot read %s: %s", path, describe_error(errno));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_read;
}

/* open_text decrypts the text. */
static bool open_text(qcd_secrets *out, const char *text, const options *opts,
                      sentence *why)
{
    qcd_store_report report;
    passphrase phrase;
    bool is_open = passphrase_known(&phrase, opts, why);
    if (is_open && bundle_open(out, &report, text, phrase.text, phrase.len) !=
                       QCD_STORE_OK) {
        sentence_set(why, "%s", report.text);
        is_open = false;
    }
    qcd_wipe(&phrase, sizeof(phrase));
    return is_open;
}

int secret_import_main(const options *opts)
{
    char text[INPUT_MAX];
    sentence why;
    qcd_secrets secrets = {.num_generations = 0};
    qcd_store_identity identity;
    qcd_store_report report;
    if (!secret_may_use(opts, &why) || !secret_identity(&identity, &why) ||
        !read_text(text, opts, &why) ||
        !open_text(&secrets, text, opts, &why)) {
        return output_fail(opts, &why);
    }
    enum qcd_store_err err =
        qcd_store_import(&report, opts->state_dir, &secrets, &identity);
    int num = (int)secrets.num_generations;
    qcd_wipe(&secrets, sizeof(secrets));
    if (err != QCD_STORE_OK) {
        sentence_set(&why, "%s", report.text);
        return output_fail(opts, &why);
    }
    if (!is_json(opts)) {
        (void)printf("%s\n", report.text);
    }
    output_take(
        opts, json_pack("{s:s, s:i}", "type", "imported", "generations", num));
    return TOOL_OK;
}
