/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-export: print the configuration of the running system in the form that qvm-apply reads. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "tool/conf.h"

enum { KEY_NO_POLICY = 790, KEY_ALL_POLICY };

static const struct tool_opt opts[] = {
	{ KEY_NO_POLICY, "no-policy", NULL, "leave out policy files", 0, W_ANY },
	{ KEY_ALL_POLICY, "all-policy", NULL, "also policy files that updates replace", 0, W_ANY },
	{ 'o', "output", "FILE", "write to this file, as a whole or not at all", 0, W_FILE },
	{ 0 },
};

static bool left_out(const struct adm_qube *q)
{
	return streq(q->name, "dom0");
}

/* Disposables that remove themselves are nobody's configuration. */
static bool passing(const struct conf_qube *q)
{
	const struct conf_kv *kv = conf_find(&q->props, "auto_cleanup");

	return streq(q->cls, "DispVM") && kv && streq(kv->value, "True");
}

static int add_qubes(struct conf *c, const struct adm_qubes *all, int argc, char **argv, struct err *e)
{
	for (size_t i = 0; i < all->n; i++) {
		struct conf_qube q;
		bool meant = argc == 0;
		int r;

		for (int k = 0; k < argc; k++)
			meant |= streq(argv[k], all->v[i].name);
		if (!meant || left_out(&all->v[i]))
			continue;
		r = conf_now_qube(&q, &all->v[i], true, e);
		if (r == -ADM_EXC_NOT_FOUND)
			continue; /* removed meanwhile */
		if (r < 0)
			return r;
		if (argc == 0 && passing(&q)) {
			conf_qube_fini(&q);
			continue;
		}
		free(conf_qube_add(c, q.name)->name);
		c->q[c->n - 1] = q;
	}
	return 0;
}

/* Files whose names an installation brings; the user's changes belong into others. */
static bool shipped(const char *name)
{
	return str_starts(name, "80-whonix") || str_starts(name, "90-");
}

static int add_policy(struct conf *c, bool all, struct err *e)
{
	_cleanup_(pf_dirs_fini) struct pf_dirs dirs = { .n_dirs = 0 };
	_cleanup_store_ struct pf_store store = { .fd = -1 };
	char **names = NULL;
	size_t n = 0, len;
	int r;

	pf_dirs_default(&dirs);
	r = pf_store_open(&store, &dirs, false, e);
	if (r >= 0)
		r = pf_store_list(&store, false, &names, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		_cleanup_free_ char *text = NULL;
		char token[PF_TOKEN_MAX];

		if (!all && shipped(names[i]))
			continue;
		r = pf_store_get(&store, names[i], &text, &len, token, e);
		if (r >= 0)
			conf_add(&c->policy, names[i], text);
	}
	pf_names_free(names, n);
	return r;
}

/* Stock labels are there everywhere. */
static void drop_stock_labels(struct conf *c)
{
	static const char *const stock[] = { "red", "orange", "yellow", "green", "gray", "blue", "purple", "black" };
	struct conf_list own = { .n = 0 };

	for (size_t i = 0; i < c->labels.n; i++) {
		bool is_stock = false;

		for (size_t k = 0; k < ARRAY_SIZE(stock); k++)
			is_stock |= streq(stock[k], c->labels.v[i].key);
		if (!is_stock)
			conf_add(&own, c->labels.v[i].key, c->labels.v[i].value);
	}
	conf_list_fini(&c->labels);
	c->labels = own;
}

static int write_file(struct tool *t, const char *path, const struct wr *w)
{
	_cleanup_free_ char *temp = xasprintf("%s.XXXXXX", path);
	_cleanup_fd_ int fd = mkostemp(temp, O_CLOEXEC);
	int r;

	if (fd < 0)
		return tool_fail(t, "creating '%s': %s", path, strerror(errno));
	r = write_full(fd, w->buf, w->len);
	if (r < 0 || fchmod(fd, 0644) < 0 || fsync(fd) < 0 || rename(temp, path) < 0) {
		r = tool_fail(t, "writing '%s': %s", path, strerror(r < 0 ? -r : errno));
		(void)unlink(temp);
		return r;
	}
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_(conf_fini) struct conf c = { .n = 0 };
	_cleanup_wr_ struct wr w = wr_grow(64u << 20);
	struct adm_qubes all;
	struct err e = { 0 };
	int r = adm_qubes_get(&all, "dom0", &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (int i = 0; i < argc; i++) {
		if (!adm_qubes_find(&all, argv[i])) {
			adm_qubes_fini(&all);
			return tool_usage(t, "no such qube: '%s'", argv[i]);
		}
	}
	r = add_qubes(&c, &all, argc, argv, &e);
	adm_qubes_fini(&all);
	if (r >= 0 && argc == 0)
		r = conf_now_global(&c, &e);
	if (r >= 0 && argc == 0 && !opt_has(t, KEY_NO_POLICY))
		r = add_policy(&c, opt_has(t, KEY_ALL_POLICY), &e);
	if (r < 0)
		return tool_api(t, r, &e);
	drop_stock_labels(&c);
	wr_str(&w, "# Configuration of a Bulkhead system, written by qvm-export. Read by qvm-apply; format: man qvm-apply.\n");
	conf_write(&w, &c);
	if (!wr_ok(&w))
		return tool_fail(t, "the configuration is too large");
	if (opt_str(t, 'o'))
		return write_file(t, opt_str(t, 'o'), &w);
	(void)fwrite(w.buf, 1, w.len, stdout);
	return 0;
}

const struct verb verb_qvm_export = {
	.name = "qvm-export",
	.summary = "print the configuration of qubes, settings and policy for qvm-apply",
	.args = "[QUBE...]",
	.desc = "Without names: everything but disposables that remove themselves. Values that\n"
		"are at their defaults are left out.",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
