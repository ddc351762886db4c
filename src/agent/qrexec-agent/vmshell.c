/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-vmshell: serves qubes.VMShell and qubes.VMRootShell by turning itself into the user's shell, which reads commands from stdin. */
#include "base/str.h"

int main(int argc, char **argv)
{
	const char *shell = getenv("SHELL");

	if (!shell || shell[0] != '/')
		shell = "/bin/sh";
	execl(shell, shell, (char *)NULL);
	fprintf(stderr, "qubes-vmshell: %s: %s\n", shell, strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
