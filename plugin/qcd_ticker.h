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
 * Does the work once.
 *
 * @param user			what was passed to qcd_ticker_create()
 * @return				milliseconds until it has to be done again, 0 if it need
 *						not be
 */
typedef u_int (*qcd_ticker_work_t)(void *user);

/**
 * Does work on request, and repeats it as long as there is any. The work never
 * runs twice at the same time, and it uses only a few per cent of a processor:
 * after each run the ticker rests for a multiple of the time that the run took.
 */
struct qcd_ticker_t {

	/**
	 * Request the work. May be called in a listener.
	 *
	 * @param delay			milliseconds from now
	 */
	void (*work)(qcd_ticker_t *this, u_int delay);

	/**
	 * Destroy a qcd_ticker_t. All jobs must have ended.
	 */
	void (*destroy)(qcd_ticker_t *this);
};

/**
 * Create a qcd_ticker_t.
 *
 * @param work			does the work
 * @param user			passed to work
 * @return				instance
 */
qcd_ticker_t *qcd_ticker_create(qcd_ticker_work_t work, void *user);

#endif /** QCD_TICKER_H_ @}*/
