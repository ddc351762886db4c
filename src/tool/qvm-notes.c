/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-notes: a text that belongs to a qube. */
#include <fcntl.h>
#include <limits.h>

#include "base/io.h"
#include "tool/util.h"

enum { KEY_APPEND = 360 };

#define NOTES_MAX 256000

static const struct tool_opt opts[] = {
	{ 'e', "edit", NULL, "edit the notes with $EDITOR", 0, W_ANY },
	{ 'p', "print", NULL, "print the notes (the default)", 0, W_ANY },
	{ 'i', "import", "FILE", "replace the notes by a file, - for standard input", 0, W_FILE },
	{ 's', "set", "TEXT", "replace the notes", 0, W_ANY },
	{ KEY_APPEND, "append", "TEXT", "add a line", 0, W_ANY },
	{ 'd', "delete", NULL, "delete the notes", 0, W_ANY },
	{ 'f', "force", NULL, "do not ask before replacing or deleting", 0, W_ANY },
	{ 0 },
};

static int get(struct tool *t, const char *qube, struct adm_reply *rep)
{
	struct err e = { 0 };
	int r = adm_text(rep, qube, "admin.vm.notes.Get", NULL, NULL, &e);

	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int set(struct tool *t, const char *qube, const char *text)
{
	struct err e = { 0 };
	int r = adm_void(qube, "admin.vm.notes.Set", NULL, text, &e);

	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int replace(struct tool *t, const char *qube, const char *text)
{
	_cleanup_reply_ struct adm_reply old = { 0 };
	int r = get(t, qube, &old);

	if (r != 0)
		return r;
	if (old.len && !opt_has(t, 'f') && isatty(STDIN_FILENO) && !tool_ask(t, "Replace the notes of '%s'?", qube))
		return tool_fail(t, "the notes were left as they are");
	return set(t, qube, text);
}

static int import(struct tool *t, const char *qube, const char *path)
{
	bool std = streq(path, "-");
	_cleanup_fd_ int fd = std ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	if (fd < 0)
		return tool_fail(t, "opening '%s': %s", path, strerror(errno));
	r = read_all(fd, NOTES_MAX, &text, &n);
	if (r < 0)
		return tool_fail(t, "reading '%s': %s", path, r == -EFBIG ? "longer than notes may be" : strerror(-r));
	if (strlen(text) != n)
		return tool_fail(t, "'%s' is no text: it has a NUL byte", path);
	return replace(t, qube, text);
}

static int append(struct tool *t, const char *qube, const char *line)
{
	_cleanup_reply_ struct adm_reply old = { 0 };
	_cleanup_free_ char *text = NULL;
	int r = get(t, qube, &old);

	if (r != 0)
		return r;
	text = xasprintf("%s%s%s\n", old.data, old.len && old.data[old.len - 1] != '\n' ? "\n" : "", line);
	return set(t, qube, text);
}

static int edit(struct tool *t, const char *qube)
{
	_cleanup_reply_ struct adm_reply old = { 0 };
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX];
	size_t n = 0;
	int r = get(t, qube, &old);

	if (r != 0)
		return r;
	if (str_printf(path, sizeof path, "%s/notes-XXXXXX", dir && *dir ? dir : "/tmp") < 0)
		return tool_fail(t, "TMPDIR is too long");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return tool_fail(t, "'%s': %s", path, strerror(errno));
	r = write_full(fd, old.data, old.len);
	if (r < 0)
		r = tool_fail(t, "'%s': %s", path, strerror(-r));
	else
		r = tool_editor(t, path);
	fd_closep(&fd);
	if (r == 0) {
		/* Editors replace the file: opened anew. */
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read_all(fd, NOTES_MAX, &text, &n) < 0)
			r = tool_fail(t, "reading '%s' back failed; the notes are unchanged", path);
		else if (!streq(text, old.data))
			r = set(t, qube, text);
	}
	(void)unlink(path);
	return r;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	const char *qube = argv[0];
	int r, acts = opt_has(t, 'e') + opt_has(t, 'p') + opt_has(t, 'i') + opt_has(t, 's') + opt_has(t, KEY_APPEND) + opt_has(t, 'd');

	(void)argc;
	if (acts > 1)
		return tool_usage(t, "one of --edit, --print, --import, --set, --append, --delete at a time");
	if (opt_has(t, 'e'))
		return edit(t, qube);
	if (opt_has(t, 'i'))
		return import(t, qube, opt_str(t, 'i'));
	if (opt_has(t, 's'))
		return replace(t, qube, opt_str(t, 's'));
	if (opt_has(t, KEY_APPEND))
		return append(t, qube, opt_str(t, KEY_APPEND));
	if (opt_has(t, 'd')) {
		if (!opt_has(t, 'f') && !tool_ask(t, "Delete the notes of '%s'?", qube))
			return tool_fail(t, "the notes were left as they are; --force deletes them without a question");
		return set(t, qube, NULL);
	}
	r = get(t, qube, &rep);
	if (r == 0)
		out_text(t, rep.data);
	if (r == 0 && rep.len && rep.data[rep.len - 1] != '\n')
		(void)putchar('\n');
	return r;
}

const struct verb verb_qvm_notes = {
	.name = "qvm-notes",
	.summary = "show or change the notes of a qube",
	.args = "QUBE",
	.opts = opts,
	.words = { W_QUBE },
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
