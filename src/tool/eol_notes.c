/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ends of life of this computer's systems. */
#include "tool/eol_notes.h"

#include <fcntl.h>
#include <time.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "proto/osfacts.h"
#include "proto/tpl.h"

#define N_FACTS 3

static const char *const facts[N_FACTS] = { "os-distribution", "os-version", "os-eol" };

int64_t tool_today(void)
{
	const char *forced = paths_system_mode() ? NULL : getenv("BULKHEAD_TODAY");
	struct timespec now;
	int64_t day;

	if (forced && tpl_date_ok(forced, &day))
		return day;
	return clock_gettime(CLOCK_REALTIME, &now) == 0 ? now.tv_sec / 86400 : 0;
}

void eol_host(eol_told *told, void *arg)
{
	_cleanup_free_ char *text = NULL;
	char id[40], version[40], release[90];
	size_t n = 0;
	struct eol x = eol_judge("bulkhead", BULKHEAD_VERSION, NULL, tool_today());

	told("this system", "Bulkhead " BULKHEAD_VERSION, &x, arg);
	if (fs_read(AT_FDCWD, "/etc/os-release", 16384, &text, &n, NULL) < 0 || !osfacts_value(rd_mem(text, n), "ID", id, sizeof id) ||
	    !osfacts_value(rd_mem(text, n), "VERSION_ID", version, sizeof version) || str_printf(release, sizeof release, "%s %s", id, version) < 0)
		return;
	x = eol_judge(id, version, NULL, tool_today());
	told("the host", release, &x, arg);
}

void eol_qubes(const struct adm_qubes *all, const bool *picked, eol_told *told, void *arg)
{
	_cleanup_free_ struct bulk_call *calls = xcalloc(all->n * N_FACTS + 1, sizeof *calls);
	const int64_t today = tool_today();
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; picked[i] && k < N_FACTS; k++)
			calls[n++] = (struct bulk_call){ .dest = all->v[i].name, .method = "admin.vm.feature.CheckWithTemplate", .arg = facts[k] };
	calls_run(calls, n, NULL, NULL);
	for (size_t i = 0; i + N_FACTS <= n; i += N_FACTS) {
		const char *v[N_FACTS];
		char release[90];
		struct eol x;

		for (size_t k = 0; k < N_FACTS; k++)
			v[k] = calls[i + k].r == 0 ? calls[i + k].rep.data : "";
		x = eol_judge(v[0], v[1], v[2], today);
		if (str_printf(release, sizeof release, "%.40s %.40s", v[0], v[1]) == 0)
			told(calls[i].dest, release, &x, arg);
	}
	calls_fini(calls, n);
}

void eol_templates(eol_told *told, void *arg)
{
	_cleanup_free_ bool *picked = NULL;
	struct adm_qubes all;

	if (adm_qubes_get(&all, "dom0", NULL) < 0)
		return;
	picked = xcalloc(all.n + 1, sizeof *picked);
	for (size_t i = 0; i < all.n; i++)
		picked[i] = streq(all.v[i].cls, "TemplateVM");
	eol_qubes(&all, picked, told, arg);
	adm_qubes_fini(&all);
}

void eol_warn(const char *name, const char *release, const struct eol *x, void *arg)
{
	char text[EOL_TEXT_MAX];

	if (x->level >= EOL_NOW)
		tool_note(arg, "warning: %s (%s) %s", name, release, eol_text(text, x));
}
