/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_ticker qcd_ticker
 * @{ @ingroup qcd
 */

#ifndef QCD_TICKER_H_
#define QCD_TICKER_H_

#include <library.h>

typedef struct qcd_ticker_t qcd_ticker_t;

/**
 * Work that is done each time.
 *
 * @param user			what it works with
 * @return				milliseconds until it is to be done again, 0 if it need not
 */
typedef u_int (*qcd_ticker_work_t)(void *user);

/**
 * Does work when it is asked to, and again as long as there is some. Never twice
 * at the same time, and never for more than a few per cent of a processor: after
 * it has worked it rests for so many times what that took.
 */
struct qcd_ticker_t {

	/**
	 * Have the work done soon. May be called in a listener.
	 *
	 * @param delay			milliseconds from now
	 */
	void (*work)(qcd_ticker_t *this, u_int delay);

	/**
	 * Destroy a qcd_ticker_t. There are no jobs any more.
	 */
	void (*destroy)(qcd_ticker_t *this);
};

/**
 * Create a qcd_ticker_t.
 *
 * @param work			work
 * @param user			passed to it
 * @return				instance
 */
qcd_ticker_t *qcd_ticker_create(qcd_ticker_work_t work, void *user);

#endif /** QCD_TICKER_H_ @}*/
