/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-clipboard: what went through the clipboard between qubes, out of clipd's history (names and sizes; the content is written nowhere). */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "tool/util.h"

#define HISTORY_MAX (2u << 20)

enum { F_TIME, F_ACTION, F_SOURCE, F_TARGET, F_BYTES, F_REASON, F_N };

static const struct tool_opt opts[] = {
	{ 'n', "last", "N", "only the last N", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

/* Cuts a line into its fields in place; false when it is none of clipd's. */
static bool cut(char *line, char *field[F_N])
{
	for (size_t i = 0; i < F_N; i++) {
		field[i] = line;
		line = strchr(line, '\t');
		if (i + 1 < F_N) {
			if (!line)
				return false;
			*line++ = '\0';
		}
	}
	return line == NULL;
}

static void row(struct table *tb, const char *const field[F_N])
{
	for (size_t i = 0; i < F_N; i++)
		table_add(tb, field[i][0] ? field[i] : NULL);
}

static void object(struct json *j, char *field[F_N])
{
	static const char *const names[F_N] = { "time", "action", "source", "target", "bytes", "reason" };
	uint64_t bytes = 0;

	json_open(j, NULL, '{');
	for (size_t i = 0; i < F_N; i++) {
		if (i == F_BYTES && str_u64(field[i], INT64_MAX, &bytes) == 0)
			json_int(j, names[i], (int64_t)bytes);
		else
			json_str(j, names[i], field[i]);
	}
	json_close(j, '}');
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_(table_freep) struct table *tb = NULL;
	char path[PATH_MAX], *rest, *line;
	struct json j = { 0 };
	struct err e = { 0 };
	uint64_t last = 0;
	size_t n = 0, skip = 0;
	int r;

	if (opt_str(t, 'n') && (str_u64(opt_str(t, 'n'), 1000000, &last) < 0 || last == 0))
		return tool_usage(t, "--last takes a number from 1 on");
	r = fs_read(AT_FDCWD, path_fmt(path, PATH_LOG, "/clipboard.log"), HISTORY_MAX, &text, NULL, &e);
	if (r < 0 && r != -ENOENT)
		return tool_fail(t, "%s", e.msg);
	for (const char *c = text; c && *c; c++)
		n += *c == '\n';
	skip = last && n > last ? n - last : 0;
	tb = table_new(F_N);
	table_right(tb, F_BYTES);
	row(tb, (const char *const[]){ "TIME", "ACTION", "FROM", "TO", "BYTES", "WHY" });
	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	rest = text;
	while (rest && (line = adm_line(&rest))) {
		char *field[F_N];

		if (skip) {
			skip--;
			continue;
		}
		if (!cut(line, field))
			continue;
		if (opt_has(t, KEY_JSON))
			object(&j, field);
		else
			row(tb, (const char *const *)field);
	}
	if (opt_has(t, KEY_JSON))
		json_close(&j, ']');
	else
		table_print(tb, t, true);
	return 0;
}

const struct verb verb_qvm_clipboard = {
	.name = "qvm-clipboard",
	.summary = "show what went through the clipboard between qubes",
	.args = "",
	.opts = opts,
	.run = run,
};
