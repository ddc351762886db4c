/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What several verbs share. */
#include "tool/util.h"

#include <fcntl.h>

#include "base/proc.h"
#include "vmm/vmm.h"

int cmp_names(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static int pick_named(const struct tool *t, int argc, char **argv, const struct adm_qubes *all, bool *picked)
{
	for (int i = 0; i < argc; i++) {
		const struct adm_qube *q = adm_qubes_find(all, argv[i]);

		if (!q)
			return tool_usage(t, "no such qube: '%s'; 'qvm-ls' lists those there are", argv[i]);
		picked[q - all->v] = true;
	}
	return 0;
}

static int pick_all(const struct tool *t, const struct adm_qubes *all, bool *picked)
{
	const char *name;

	for (size_t i = 0; i < all->n; i++)
		picked[i] = !streq(all->v[i].name, "dom0");
	for (size_t k = 0; (name = opt_nth(t, KEY_EXCLUDE, k)); k++) {
		const struct adm_qube *q = adm_qubes_find(all, name);

		if (!q)
			return tool_usage(t, "no such qube to exclude: '%s'", name);
		picked[q - all->v] = false;
	}
	return 0;
}

int tool_qubes(const struct tool *t, int argc, char **argv, struct adm_qubes *all, bool **picked)
{
	_cleanup_free_ bool *p = NULL;
	struct err e = { 0 };
	int r;

	*all = (struct adm_qubes){ .n = 0 };
	if (opt_has(t, KEY_ALL) && argc > 0)
		return tool_usage(t, "give names or --all, not both");
	if (opt_has(t, KEY_EXCLUDE) && !opt_has(t, KEY_ALL))
		return tool_usage(t, "--exclude is only for --all");
	if (!opt_has(t, KEY_ALL) && argc == 0)
		return tool_usage(t, "name a qube, or give --all");
	r = adm_qubes_get(all, "dom0", &e);
	if (r < 0)
		return tool_api(t, r, &e);
	p = xcalloc(all->n + 1, sizeof *p);
	r = opt_has(t, KEY_ALL) ? pick_all(t, all, p) : pick_named(t, argc, argv, all, p);
	if (r != 0) {
		adm_qubes_fini(all);
		return r;
	}
	*picked = STEAL_PTR(p);
	return 0;
}

int tool_qube(const struct tool *t, const char *name)
{
	struct adm_qubes q;
	struct err e = { 0 };
	int r = adm_qubes_get(&q, name, &e);

	if (r < 0)
		return r == -ADM_EXC_NOT_FOUND ? tool_usage(t, "no such qube: '%s'", name) : tool_api(t, r, &e);
	adm_qubes_fini(&q);
	return 0;
}

#define BULK_WINDOW 64

void calls_run(struct bulk_call *calls, size_t n, void (*done)(struct bulk_call *c, void *arg), void *arg)
{
	size_t begun = 0;

	for (size_t i = 0; i < n; i++) {
		for (; begun < n && begun < i + BULK_WINDOW; begun++) {
			struct bulk_call *b = &calls[begun];

			b->fd = adm_begin(b->dest, b->method, b->arg, b->payload, b->payload ? strlen(b->payload) : 0, &b->e);
			b->r = MIN(b->fd, 0);
		}
		if (calls[i].r == 0)
			calls[i].r = adm_finish(calls[i].fd, &calls[i].rep, &calls[i].e);
		calls[i].fd = -1;
		if (done)
			done(&calls[i], arg);
	}
}

void calls_fini(struct bulk_call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		adm_reply_fini(&calls[i].rep);
}

int label_rgb(const char *label, uint32_t *ret)
{
	static const struct {
		const char *name;
		uint32_t rgb;
	} stock[] = {
		{ "red", 0xcc0000 },  { "orange", 0xf57900 }, { "yellow", 0xedd400 }, { "green", 0x73d216 },
		{ "gray", 0x555555 }, { "blue", 0x3465a4 },   { "purple", 0x75507b }, { "black", 0x000000 },
	};
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *end;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(stock); i++)
		if (streq(stock[i].name, label)) {
			*ret = stock[i].rgb;
			return 0;
		}
	r = adm_text(&rep, "dom0", "admin.label.Get", label, NULL, NULL);
	if (r < 0)
		return r;
	if (rep.len != 8 || !str_starts(rep.data, "0x"))
		return -EBADMSG;
	*ret = (uint32_t)strtoul(rep.data + 2, &end, 16);
	return *end ? -EBADMSG : 0;
}

int prop_get(const char *qube, const char *prop, char *out, size_t cap, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_prop p = { 0 };
	int r = adm_text(&rep, qube, "admin.vm.property.Get", prop, NULL, e);

	if (r < 0)
		return r;
	r = adm_prop_parse(&p, rep.data, e);
	if (r < 0)
		return r;
	if (str_copy(out, cap, p.value) < 0)
		return err_set(e, ENAMETOOLONG, "property '%s' of '%s' is too long", prop, qube);
	return 0;
}

bool emulated_here(void)
{
	const struct vmm_ops *vmm;
	uint8_t accel = ACCEL_TCG;

	/* The same choice that the daemon makes; one that cannot be made is not a wall either. */
	return vmm_choose(ACCEL_AUTO, &vmm, &accel, NULL, NULL) < 0 || accel != ACCEL_KVM;
}

int read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *buf = xmalloc(max + 1);
	size_t len = 0;

	while (len <= max) {
		ssize_t n = read(fd, buf + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > max)
		return -EFBIG;
	buf[len] = '\0';
	*ret = STEAL_PTR(buf);
	*ret_len = len;
	return 0;
}

/* The editor is a program of the user's own choice; "vi" when none is named. It gets a private file. */
int tool_editor(const struct tool *t, const char *path)
{
	struct proc_spec spec = { .fds = { { 0, 0 }, { 1, 1 }, { 2, 2 } }, .n_fds = 3,
				  .envp = (const char *const *)(void *)environ };
	const char *argv[] = { "sh", "-c", "exec ${VISUAL:-${EDITOR:-vi}} \"$1\"", "sh", path, NULL };
	struct err e = { 0 };
	int r;

	spec.path = "/bin/sh";
	spec.argv = argv;
	r = proc_run(&spec, &e);
	return r < 0 ? tool_fail(t, "the editor failed: %s", err_text(&e, r)) : 0;
}
