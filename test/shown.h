/* SPDX-License-Identifier: Apache-2.0 */
/* shown.h: which generations' tokens a message shows, and in which order. */
#ifndef QCD_TEST_SHOWN_H
#define QCD_TEST_SHOWN_H

#include "parts.h"
#include "test.h"

/* token_generation tells of which generation `token` is. */
static inline size_t token_generation(const qcd_token *token,
                                      const qcd_keys *keys,
                                      const qcd_spis *spis, enum qcd_role role)
{
    for (size_t g = 0; g < keys->num_generations; g++) {
        qcd_token made;

        assert_int_equal(token_make(&made, &(recipe){keys, NULL, token->len}, g,
                                    &(qcd_ike_sa){*spis, role}),
                         QCD_OK);
        if (memcmp(&made, token, sizeof(made)) == 0) {
            return g;
        }
    }
    fail_msg("a token of no generation");
    return SIZE_MAX;
}

/* shown_first checks that behind its first token `m` shows the newest of the
 * other generations in their order, and returns the first one's generation. */
static inline size_t shown_first(const qcd_message *m, const qcd_keys *keys,
                                 enum qcd_role role)
{
    const qcd_spis *spis = &m->header.spis;
    size_t first = token_generation(&m->tokens[0], keys, spis, role);
    size_t next = 0;

    for (size_t i = 1; i < m->num_tokens; i++) {
        next += next == first;
        assert_int_equal(token_generation(&m->tokens[i], keys, spis, role),
                         next);
        next++;
    }
    return first;
}

#endif
