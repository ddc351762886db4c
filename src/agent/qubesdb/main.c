/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubesdb-cmd and its links qubesdb-read, -write, -rm, -list, -multiread, -watch; in dom0 and in a qube. Values come from the other
 * side of the data base: unless -r is given, every byte outside printable ASCII is printed as \xNN.
 */
#include <getopt.h>

#include "base/log.h"
#include "base/str.h"
#include "qdb/client.h"
#ifndef BULKHEAD_GUEST
#include "base/paths.h"
#endif

#define EXIT_NOENT 2

static struct {
	const char *command, *domain, *fallback;
	bool fullpath, raw, wait, quiet;
	uint64_t count;
} opt;

static void print_value(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (opt.raw || (c >= 0x20 && c <= 0x7e))
			putchar(c);
		else
			printf("\\x%02x", c);
	}
}

static int complain(int r, const struct err *e, const char *key)
{
	if (r == -ENOENT) {
		if (!opt.quiet)
			fprintf(stderr, "%s: no such key\n", key);
		return EXIT_NOENT;
	}
	fprintf(stderr, "qubesdb: %s\n", err_text(e, r));
	return 1;
}

static int cmd_read(struct qdbc *c, char **keys)
{
	char value[QDB_VALUE_MAX + 1];
	int code = 0;

	for (; *keys; keys++) {
		struct err e = { 0 };
		int r = opt.wait ? qdbc_wait_key(c, *keys, value, sizeof value, -1, &e) : qdbc_read(c, *keys, value, sizeof value, &e);

		if (r == -EINVAL)
			r = -ENOENT;
		if (r == -ENOENT && opt.fallback) {
			(void)!str_copy(value, sizeof value, opt.fallback);
			r = 0;
		}
		if (r < 0) {
			code = complain(r, &e, *keys);
			continue;
		}
		if (opt.fullpath)
			printf("%s = ", *keys);
		print_value(value);
		putchar('\n');
	}
	return code;
}

static int cmd_write(struct qdbc *c, char **args)
{
	for (; args[0]; args += 2) {
		struct err e = { 0 };
		int r;

		if (!args[1]) {
			fprintf(stderr, "qubesdb-write: %s has no value\n", args[0]);
			return 1;
		}
		r = qdbc_write(c, args[0], args[1], strlen(args[1]), &e);
		if (r < 0)
			return complain(r, &e, args[0]);
	}
	return 0;
}

static int cmd_rm(struct qdbc *c, char **keys)
{
	int code = 0;

	for (; *keys; keys++) {
		struct err e = { 0 };
		int r = qdbc_rm(c, *keys, &e);

		if (r < 0)
			code = complain(r, &e, *keys);
	}
	return code;
}

struct list {
	struct {
		char key[QDB_KEY_CAP];
		char *value;
	} *v;
	size_t n;
};

static int collect(void *arg, const char *key, const char *value)
{
	struct list *l = arg;

	l->v = xreallocarray(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n].value = xstrdup(value);
	return str_copy(l->v[l->n++].key, QDB_KEY_CAP, key);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(a, b); /* the key is the first field */
}

static int walk(struct qdbc *c, char **prefixes, bool values)
{
	int code = 0;

	for (; *prefixes; prefixes++) {
		size_t skip = opt.fullpath ? 0 : strlen(*prefixes);
		struct list l = { 0 };
		struct err e = { 0 };
		int r = qdbc_each(c, *prefixes, values, collect, &l, &e);

		if (l.n)
			qsort(l.v, l.n, sizeof(*l.v), by_key);
		for (size_t i = 0; i < l.n; i++) {
			fputs(l.v[i].key + skip, stdout);
			if (values) {
				fputs(" = ", stdout);
				print_value(l.v[i].value);
			}
			putchar('\n');
			free(l.v[i].value);
		}
		free(l.v);
		if (r < 0)
			code = complain(r, &e, *prefixes);
	}
	return code;
}

static int cmd_list(struct qdbc *c, char **prefixes)
{
	return walk(c, prefixes, false);
}

static int cmd_multiread(struct qdbc *c, char **prefixes)
{
	return walk(c, prefixes, true);
}

static int cmd_watch(struct qdbc *c, char **keys)
{
	struct err e = { 0 };

	for (; *keys; keys++) {
		int r = qdbc_watch(c, *keys, true, &e);

		if (r < 0)
			return complain(r, &e, *keys);
	}
	for (uint64_t n = 0; !opt.count || n < opt.count; n++) {
		char path[QDB_KEY_CAP];
		int r = qdbc_wait_event(c, path, -1, &e);

		if (r < 0)
			return complain(r, &e, path);
		puts(path);
		fflush(stdout);
	}
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct qdbc *c, char **args);
	bool writes;
} commands[] = {
	{ "read", cmd_read, false },	 { "write", cmd_write, true },	       { "rm", cmd_rm, true },
	{ "list", cmd_list, false },	 { "multiread", cmd_multiread, false }, { "watch", cmd_watch, false },
};

static int open_db(struct qdbc *c, bool writes, struct err *e)
{
	_cleanup_free_ char *rw = NULL, *ro = NULL;
	const char *dir = "/run/qubes", *dot = opt.domain ? "." : "", *dom = opt.domain ? opt.domain : "";
	int r;

#ifndef BULKHEAD_GUEST
	if (paths_init(NULL, e) < 0)
		return -1;
	dir = path_get(PATH_RUN);
#else
	if (secure_getenv("QUBESDB_SOCKET_DIR"))
		dir = secure_getenv("QUBESDB_SOCKET_DIR");
#endif
	if (strchr(dom, '/'))
		return err_set(e, EINVAL, "'%s' is not a qube name", dom);
	rw = xasprintf("%s/qubesdb%s%s.sock", dir, dot, dom);
	ro = xasprintf("%s/qubesdb%s%s.ro.sock", dir, dot, dom);
	r = qdbc_open(c, rw, e);
	if (r < 0 && !writes) {
		struct err first = *e;

		r = qdbc_open(c, ro, e);
		if (r < 0)
			*e = first;
	}
	return r;
}

static int usage(FILE *f, int code)
{
	fputs("usage: qubesdb-cmd -c COMMAND [options] [PATH…]   (or qubesdb-COMMAND [options] [PATH…])\n"
	      "  read PATH…, write PATH VALUE…, rm PATH…, list PREFIX…, multiread PREFIX…, watch PATH…\n"
	      "  -d, --domain NAME   QubesDB of that qube (dom0)\n"
	      "  -f, --fullpath      print whole paths\n"
	      "  -r, --raw           print values as they are\n"
	      "  -w, --wait          read: wait until the key exists\n"
	      "      --default TEXT  read: print TEXT for a missing key\n"
	      "  -n, --count N       watch: end after N events\n"
	      "  -q, --quiet         no message for a missing key\n"
	      "exit: 0 done, 1 failed, 2 no such key\n",
	      f);
	return code;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "command", required_argument, NULL, 'c' }, { "domain", required_argument, NULL, 'd' }, { "fullpath", no_argument, NULL, 'f' },
		{ "raw", no_argument, NULL, 'r' },	     { "wait", no_argument, NULL, 'w' },	 { "default", required_argument, NULL, 'D' },
		{ "count", required_argument, NULL, 'n' },   { "quiet", no_argument, NULL, 'q' },	 { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *base = strrchr(argv[0], '/');
	int c;

	base = base ? base + 1 : argv[0];
	if (str_starts(base, "qubesdb-") && !streq(base, "qubesdb-cmd"))
		opt.command = base + strlen("qubesdb-");
	while ((c = getopt_long(argc, argv, "c:d:frwn:qh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			opt.command = optarg;
			break;
		case 'd':
			opt.domain = optarg;
			break;
		case 'f':
			opt.fullpath = true;
			break;
		case 'r':
			opt.raw = true;
			break;
		case 'w':
			opt.wait = true;
			break;
		case 'D':
			opt.fallback = optarg;
			break;
		case 'n':
			if (str_u64(optarg, UINT32_MAX, &opt.count) < 0)
				return usage(stderr, 1);
			break;
		case 'q':
			opt.quiet = true;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 1);
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	_cleanup_(qdbc_finip) struct qdbc *close_at_end = NULL;
	static struct qdbc c = { .fd = -1 };
	struct err e = { 0 };
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	if (!opt.command || optind >= argc)
		return usage(stderr, 1);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!streq(opt.command, commands[i].name))
			continue;
		r = open_db(&c, commands[i].writes, &e);
		if (r < 0) {
			fprintf(stderr, "qubesdb-%s: %s\n", opt.command, err_text(&e, r));
			return 1;
		}
		close_at_end = &c;
		r = commands[i].fn(&c, argv + optind);
		return fflush(stdout) == 0 ? r : 1;
	}
	fprintf(stderr, "qubesdb-cmd: unknown command '%s'\n", opt.command);
	return 1;
}
