/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nft, ip and wg get what they shall do as their standard input: in one piece, written before they start, so that they never see the half of it. */
#ifndef AGENT_NET_FEED_H
#define AGENT_NET_FEED_H

#include "base/err.h"
#include "base/wr.h"

/* net_feed runs the program path with text as its standard input and waits for its end. Without text nothing is run. quiet: what the program complains of is not logged.
   0; -ECHILD when its status is not 0, -EINVAL for a text that could not be written down, or another -errno, each with a text in e. */
int net_feed(const char *path, const char *const *argv, struct wr *text, bool quiet, struct err *e);

#endif
