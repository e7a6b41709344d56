/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_listeners qcd_listeners
 * @{ @ingroup qcd
 *
 * Our listeners, which charon's bus sees as one. At each event, the bus takes
 * each listener from its list, whether it wants the event or not. With eleven of
 * ours, that was a quarter of the instructions that the plugin adds to a
 * handshake.
 */

#ifndef QCD_LISTENERS_H_
#define QCD_LISTENERS_H_

#include <bus/listeners/listener.h>

/**
 * Add a listener, which is called after those that were added before. It gets
 * all events from now on, and no other listener misses one. It stays until it is
 * removed: what its methods return is ignored. None of them may raise an event,
 * because no listener of ours would get it, nor add or remove a listener.
 *
 * @param listener		listener
 */
void qcd_listeners_add(listener_t *listener);

/**
 * Remove a listener. None of its methods is running any more, unless this thread
 * runs it.
 *
 * @param listener		listener, ignored if it was not added
 */
void qcd_listeners_remove(listener_t *listener);

#endif /** QCD_LISTENERS_H_ @}*/
