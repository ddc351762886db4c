/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc-appmenus: qubes.SyncAppMenus. Takes a qube's list of its programs, keeps what is acceptable and makes dom0's entries for that qube. */
#include "base/paths.h"
#include "client/admin.h"
#include "client/appmenus.h"
#include "proto/appmenu.h"
#include "svc/svc.h"

/* A disposable has the menu of its template; what it says would be kept for ever. */
static bool disposable(const char *qube)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, qube, "admin.vm.List", NULL, NULL, NULL) == 0 && strstr(rep.data, " class=DispVM ");
}

static int take(const struct svc *s, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct appmenus_count count = { 0 };
	size_t n = 0;
	int r;

	if (s->arg[0])
		return err_set(e, EINVAL, "the service takes no argument");
	r = svc_confine(path_get(PATH_APPMENUS), e);
	if (r == 0)
		r = svc_input(APPMENU_STREAM_MAX, &text, &n, e);
	if (r == 0 && disposable(s->caller.s))
		return 0;
	if (r == 0)
		r = appmenus_store(s->caller.s, rd_mem(text, n), &count, e);
	if (r == 0)
		r = appmenus_generate(s->caller.s, s->caller.s, NULL, e);
	if (r >= 0 && count.skipped)
		fprintf(stderr, "%s: %u programs were left out: their names are not acceptable\n", s->name, count.skipped);
	return r;
}

int main(void)
{
	struct err e = { 0 };
	struct svc s;

	svc_begin(&s);
	return svc_end(&s, take(&s, &e), &e);
}
