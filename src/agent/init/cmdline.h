/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel command line: a pure decoder, so that it can be tested without a kernel. */
#ifndef AGENT_INIT_CMDLINE_H
#define AGENT_INIT_CMDLINE_H

#include "base/err.h"
#include "base/rd.h"

enum root_mode { ROOT_AUTO, ROOT_RO, ROOT_RW };

struct cmdline {
	char root[64];	  /* value of root=; "" when absent */
	char init[128];	  /* value of init=; "" when absent */
	enum root_mode root_mode;
	bool debug;	  /* bulkhead.debug: say more on the console */
};

/* cmdline_parse decodes the words of /proc/cmdline. Words that are not ours are ignored; a word
   of ours with a bad value, or a value that is too long, is -EINVAL. Words in double quotes may
   hold blanks. On failure *ret is untouched. */
int cmdline_parse(struct rd r, struct cmdline *ret, struct err *e);

#endif
