/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-volume: volumes of qubes. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "tool/kvlist.h"
#include "tool/volume.h"

#define COPY_CHUNK (1u << 20)

static const struct tool_opt opts[] = {
	{ 'p', "pool", "POOL", "list: only volumes of this pool", 0, W_POOL },
	{ KEY_FULL, "full", NULL, "list: a line for each qube that uses a volume", 0, W_ANY },
	{ 'f', "force", NULL, "resize: taken for older scripts; a volume never becomes smaller. export: write over a file", 0, W_ANY },
	{ KEY_SIZE, "size", "SIZE", "import: this many bytes of the file", 0, W_ANY },
	{ KEY_NO_RESIZE, "no-resize", NULL, "import: keep the volume's size; the file must have just that", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

enum act { A_LIST, A_INFO, A_CONFIG, A_RESIZE, A_REVERT, A_IMPORT, A_EXPORT, A_CLONE, A_CLEAR };

static const struct tool_sub subs[] = {
	[A_LIST] = { "list", "[-p POOL] [--full] [QUBE...]", "list volumes", 0, SUB_MANY, "ls" },
	[A_INFO] = { "info", "QUBE:VOLUME [PROPERTY]", "show a volume's properties and revisions, or one value", 1, 2, "i" },
	[A_CONFIG] = { "config", "QUBE:VOLUME PROPERTY VALUE", "change rw, revisions_to_keep or ephemeral; default: as the pool says", 3, 3, "set" },
	[A_RESIZE] = { "resize", "QUBE:VOLUME SIZE", "make larger, also while its qube runs: bytes, or with a unit such as 20GiB", 2, 2, "extend" },
	[A_REVERT] = { "revert", "QUBE:VOLUME [REVISION]", "go back to a revision (the last one)", 1, 2, "r" },
	[A_IMPORT] = { "import", "QUBE:VOLUME FILE", "replace the content by a file, - for standard input", 2, 2 },
	[A_EXPORT] = { "export", "QUBE:VOLUME FILE", "write what is committed to a file, - for standard output", 2, 2 },
	[A_CLONE] = { "clone", "QUBE:VOLUME QUBE:VOLUME", "copy the content of one volume to another", 2, 2 },
	[A_CLEAR] = { "clear", "QUBE:VOLUME", "empty a volume", 1, 1 },
	{ 0 },
};

struct volref {
	char qube[64], vol[64];
};

static int parse_ref(struct tool *t, struct volref *ret, const char *s)
{
	const char *colon = strchr(s, ':');

	if (!colon || colon == s || !colon[1] || str_printf(ret->qube, sizeof ret->qube, "%.*s", (int)(colon - s), s) < 0 ||
	    str_copy(ret->vol, sizeof ret->vol, colon + 1) < 0)
		return tool_usage(t, "'%s' is not QUBE:VOLUME", s);
	return 0;
}

/* Every volume method answers PermissionDenied for a volume that does not exist. */
static int vol_fail(struct tool *t, const struct volref *v, int r, const struct err *e)
{
	if (r == -ADM_EXC_DENIED)
		return tool_usage(t, "'%s' has no volume '%s', or it may not be changed", v->qube, v->vol);
	return tool_api(t, r, e);
}

static int simple(struct tool *t, const struct volref *v, const char *method, const char *payload)
{
	struct err e = { 0 };
	int r = adm_void(v->qube, method, v->vol, payload, &e);

	return r < 0 ? vol_fail(t, v, r, &e) : 0;
}

static void info_json(char *text, char *snaps)
{
	struct json j = { 0 };
	char *line;

	json_open(&j, NULL, '{');
	kv_json(&j, text);
	json_open(&j, "revisions", '[');
	while ((line = adm_line(&snaps)))
		json_str(&j, NULL, line);
	json_close(&j, ']');
	json_close(&j, '}');
}

static void info_text(const struct tool *t, char *text, char *snaps)
{
	char *line;

	kv_print(t, text);
	printf("Available revisions (for revert):%s\n", *snaps ? "" : " none");
	while ((line = adm_line(&snaps)))
		printf("  %s\n", line);
}

static int info(struct tool *t, const struct volref *v, const char *prop)
{
	_cleanup_reply_ struct adm_reply rep = { 0 }, snaps = { 0 };
	struct err e = { 0 };
	char value[1024];
	int r = adm_text(&rep, v->qube, "admin.vm.volume.Info", v->vol, NULL, &e);

	if (r >= 0 && (!prop || streq(prop, "revisions")))
		r = adm_text(&snaps, v->qube, "admin.vm.volume.ListSnapshots", v->vol, NULL, &e);
	if (r < 0)
		return vol_fail(t, v, r, &e);
	if (prop && streq(prop, "revisions")) {
		(void)fputs(snaps.data, stdout);
		return 0;
	}
	if (prop) {
		if (adm_kv(rep.data, prop, value, sizeof value) < 0)
			return tool_usage(t, "no such property of a volume: '%s'", prop);
		printf("%s\n", value);
		return 0;
	}
	if (opt_has(t, KEY_JSON))
		info_json(rep.data, snaps.data);
	else
		info_text(t, rep.data, snaps.data);
	return 0;
}

static int config(struct tool *t, const struct volref *v, const char *prop, const char *value)
{
	static const char *const keys[] = { "rw", "revisions_to_keep", "ephemeral", NULL };
	struct err e = { 0 };
	int r = kv_set(v->qube, "admin.vm.volume.Set", keys, prop, v->vol, value, &e);

	if (r == -EINVAL)
		return tool_usage(t, "'%s' cannot be changed; rw, revisions_to_keep and ephemeral can", prop);
	return r < 0 ? vol_fail(t, v, r, &e) : 0;
}

static int resize(struct tool *t, const struct volref *v, const char *size)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	uint64_t want, now;
	char value[32];
	int r;

	if (str_size(size, &want) < 0)
		return tool_usage(t, "'%s' is no size; give bytes or a number with a unit, such as 20GiB", size);
	r = adm_text(&rep, v->qube, "admin.vm.volume.Info", v->vol, NULL, &e);
	if (r < 0)
		return vol_fail(t, v, r, &e);
	if (adm_kv(rep.data, "size", value, sizeof value) < 0 || str_u64(value, UINT64_MAX, &now) < 0)
		return tool_fail(t, "the answer of qubesd has no size");
	if (want < now)
		return tool_usage(t, "%s:%s has %llu bytes, and a volume never becomes smaller: make a new one and copy the files", v->qube, v->vol,
				  (unsigned long long)now);
	if (str_printf(value, sizeof value, "%llu", (unsigned long long)want) < 0)
		return EXIT_FAIL;
	return simple(t, v, "admin.vm.volume.Resize", value);
}

static int revert(struct tool *t, const struct volref *v, const char *revision)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	char *text, *line;
	int r;

	if (revision)
		return simple(t, v, "admin.vm.volume.Revert", revision);
	r = adm_text(&rep, v->qube, "admin.vm.volume.ListSnapshots", v->vol, NULL, &e);
	if (r < 0)
		return vol_fail(t, v, r, &e);
	text = rep.data;
	while ((line = adm_line(&text)))
		revision = line;
	if (!revision)
		return tool_fail(t, "%s:%s has no revision to go back to", v->qube, v->vol);
	return simple(t, v, "admin.vm.volume.Revert", revision);
}

static int import(struct tool *t, const struct volref *v, const char *path)
{
	bool std = streq(path, "-"), keep = opt_has(t, KEY_NO_RESIZE);
	_cleanup_fd_ int fd = std ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	const char *size_text = opt_str(t, KEY_SIZE);
	uint64_t size = 0;
	struct err e = { 0 };
	struct stat st;
	int r;

	if (fd < 0)
		return tool_fail(t, "opening '%s': %s", path, strerror(errno));
	if (size_text && keep)
		return tool_usage(t, "--size changes the size and --no-resize forbids it");
	if (size_text && str_size(size_text, &size) < 0)
		return tool_usage(t, "'%s' is no size; give bytes or a number with a unit, such as 20GiB", size_text);
	if (!size_text && !keep) {
		if (std || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
			return tool_usage(t, "'%s' has no size of its own: give --size or --no-resize", path);
		size = (uint64_t)st.st_size;
	}
	r = adm_import(v->qube, v->vol, fd, size, !keep, &e);
	return r < 0 ? vol_fail(t, v, r, &e) : 0;
}

/* An image with its holes, as far as the target has such. */
static int copy_image(int in, int out, uint64_t size, struct err *e)
{
	bool holes = lseek(out, 0, SEEK_CUR) == 0 && ftruncate(out, (off_t)size) == 0;
	_cleanup_free_ uint8_t *buf = xmalloc(COPY_CHUNK);
	uint64_t at = 0;

	while (at < size) {
		off_t data = holes ? lseek(in, (off_t)at, SEEK_DATA) : (off_t)at;
		size_t n = (size_t)MIN((uint64_t)COPY_CHUNK, size - at);
		int r;

		if (data < 0)
			break; /* only a hole is left */
		if ((uint64_t)data > at) {
			at = (uint64_t)data;
			continue;
		}
		if (pread(in, buf, n, (off_t)at) != (ssize_t)n)
			return err_set(e, EIO, "reading the volume failed");
		r = holes && lseek(out, (off_t)at, SEEK_SET) < 0 ? -errno : write_full(out, buf, n);
		if (r < 0)
			return err_errno(e, -r, "writing the file");
		at += n;
	}
	return holes && fsync(out) < 0 ? err_errno(e, errno, "writing the file") : 0;
}

static int export_to(const struct volref *v, const char *id, int out, struct err *e)
{
	_cleanup_reply_ struct adm_reply begin = { 0 }, end = { 0 };
	_cleanup_fd_ int in = -1;
	uint64_t size = 0;
	char *path;
	int r = adm_internal(&begin, v->qube, "internal.vm.volume.ExportBegin", v->vol, id, e);

	if (r < 0)
		return r;
	path = strchr(begin.data, ' ');
	if (path)
		*path++ = '\0';
	if (!path || *path != '/' || str_u64(begin.data, INT64_MAX, &size) < 0) {
		r = err_set(e, ADM_BAD_ANSWER, "the answer of qubesd to ExportBegin is malformed");
	} else {
		path[strcspn(path, "\n")] = '\0';
		in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		r = in < 0 ? err_errno(e, errno, "opening '%s'", path) : copy_image(in, out, size, e);
	}
	(void)!adm_internal(&end, v->qube, "internal.vm.volume.ExportEnd", v->vol, id, NULL);
	return r;
}

static int export(struct tool *t, const struct volref *v, const char *path)
{
	bool std = streq(path, "-"), force = opt_has(t, 'f');
	_cleanup_fd_ int out = std ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | (force ? O_TRUNC : O_EXCL) | O_CLOEXEC, 0600);
	struct err e = { 0 };
	char id[32];
	int r;

	if (out < 0 && errno == EEXIST)
		return tool_fail(t, "'%s' is there already; --force writes over it", path);
	if (out < 0)
		return tool_fail(t, "opening '%s': %s", path, strerror(errno));
	if (str_printf(id, sizeof id, "volume%d", (int)getpid()) < 0)
		return EXIT_FAIL;
	r = export_to(v, id, out, &e);
	/* Half an image is worse than none. */
	if (r < 0 && !std)
		(void)unlink(path);
	return r < 0 ? vol_fail(t, v, r, &e) : 0;
}

static int clone(struct tool *t, const struct volref *from, const struct volref *to)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	int r = adm_text(&rep, from->qube, "admin.vm.volume.CloneFrom", from->vol, NULL, &e);

	return r < 0 ? vol_fail(t, from, r, &e) : simple(t, to, "admin.vm.volume.CloneTo", rep.data);
}

static int act(struct tool *t, enum act what, const struct volref *v, int argc, char **argv)
{
	const char *second = argc > 1 ? argv[1] : NULL;
	struct volref w;
	int r;

	switch (what) {
	case A_INFO:
		return info(t, v, second);
	case A_CONFIG:
		return config(t, v, second, argv[2]);
	case A_RESIZE:
		return resize(t, v, second);
	case A_REVERT:
		return revert(t, v, second);
	case A_IMPORT:
		return import(t, v, second);
	case A_EXPORT:
		return export(t, v, second);
	case A_CLEAR:
		return simple(t, v, "admin.vm.volume.Clear", NULL);
	case A_CLONE:
		r = parse_ref(t, &w, second);
		return r ? r : clone(t, v, &w);
	case A_LIST: /* of no one volume */
		break;
	}
	return EXIT_FAIL;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *cmd = argc ? argv[0] : "list";
	struct volref v;
	int r, i;

	if (!argc || streq(cmd, "l"))
		return volume_list(t, argc - 1, argv + 1);
	i = sub_find(t, argc, argv);
	if (i < 0)
		return EXIT_USAGE;
	if (i == A_LIST)
		return volume_list(t, argc - 1, argv + 1);
	r = parse_ref(t, &v, argv[1]);
	return r ? r : act(t, (enum act)i, &v, argc - 1, argv + 1);
}

const struct verb verb_qvm_volume = {
	.name = "qvm-volume",
	.summary = "manage the volumes of qubes",
	.args = "COMMAND [ARGUMENT...]",
	.opts = opts,
	.subs = subs,
	.words = { W_SUB, W_VOLUME },
	.run = run,
};
