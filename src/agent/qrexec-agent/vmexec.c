/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-vmexec: turns itself into the command that the argument of qubes.VMExec encodes. */
#include "proto/vmexec.h"

#include "base/str.h"

int main(int argc, char **argv)
{
	static char *args[VMEXEC_ARGS_MAX];
	struct err e = { 0 };
	int code;

	if (argc != 2) {
		fprintf(stderr, "usage: qubes-vmexec ENCODED-COMMAND\n");
		return 2;
	}
	if (vmexec_get(argv[1], args, ARRAY_SIZE(args), &e) < 0) {
		fprintf(stderr, "qubes-vmexec: %s\n", e.msg);
		return 2;
	}
	execvp(args[0], args);
	code = errno == ENOENT ? 127 : 126;
	fprintf(stderr, "qubes-vmexec: %s: %s\n", args[0], strerror(errno));
	return code;
}
