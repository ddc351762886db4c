/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-open-url: serves qubes.OpenURL. One address, strictly checked, becomes the argument of qubes-open. */
#include "agent/services/common.h"
#include "agent/vmtools/find.h"
#include "base/str.h"
#include "proto/opening.h"

int main(void)
{
	static char url[OPEN_URL_MAX];
	_cleanup_free_ char *text = NULL;
	char program[PATH_MAX];
	struct err e = { 0 };
	size_t n = 0;
	int r = read_some(STDIN_FILENO, OPEN_URL_MAX, &text, &n, &e);

	if (r == 0)
		r = open_url_get(url, rd_mem(text, n), &e);
	if (r < 0)
		return finish("qubes.OpenURL", r, &e);
	find_beside(program, "qubes-open", "/usr/bin");
	execl(program, "qubes-open", url, (char *)NULL);
	err_errno(&e, errno, "'%s'", program);
	return finish("qubes.OpenURL", -1, &e);
}
