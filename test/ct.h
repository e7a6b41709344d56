/* SPDX-License-Identifier: Apache-2.0 */
/* ct.h: for tests of constant time under valgrind.  A secret is marked as
 * undefined; valgrind then reports each branch and each address that depends on
 * it.  What everybody may see is declared public, with the reason. */
#ifndef QCD_TEST_CT_H
#define QCD_TEST_CT_H

#include <valgrind/memcheck.h>

#define SECRET(p, len) ((void)VALGRIND_MAKE_MEM_UNDEFINED((p), (len)))
#define PUBLIC(p, len) ((void)VALGRIND_MAKE_MEM_DEFINED((p), (len)))

#endif
