/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of a VPN, as dom0 touches them: it looks for the names of files that belong to it, and reads nothing else of the configuration. */
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>

#include "base/io.h"
#include "tool/vpn.h"

/* Secrets: read at once into memory that is wiped. */
static int read_file(struct tool *t, const char *path, char **ret, size_t *ret_len)
{
	_cleanup_fd_ int fd = streq(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return tool_fail(t, "'%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return tool_fail(t, "'%s' is a directory", path);
	r = read_all(fd, VPN_FILE_MAX, ret, ret_len);
	if (r < 0)
		return tool_fail(t, "'%s': %s", path, r == -EFBIG ? "larger than a file of a VPN can be" : strerror(-r));
	return 0;
}

static int add_file(struct tool *t, struct wr *w, const char *name, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = read_file(t, path, &text, &n);

	if (r)
		return r;
	vpn_bundle_put(w, name, text, n);
	explicit_bzero(text, n);
	return 0;
}

/* A name without a directory in front is beside the configuration. */
static char *beside(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');

	return name[0] == '/' || !slash ? xasprintf("%s", name) : xasprintf("%.*s/%s", (int)(slash - file), file, name);
}

static bool ask_line(const char *what, bool hidden, char *out, size_t cap)
{
	struct termios old, now;
	bool ok;

	fprintf(stderr, "%s: ", what);
	if (tcgetattr(STDIN_FILENO, &old) < 0)
		return false;
	now = old;
	now.c_lflag &= ~(tcflag_t)ECHO;
	if (hidden)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &now);
	ok = fgets(out, (int)cap, stdin) && strchr(out, '\n');
	if (hidden) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		(void)fputs("\n", stderr);
	}
	return ok;
}

static int ask_auth(struct tool *t, struct wr *w)
{
	char text[600] = "", password[300] = "";
	size_t n;

	if (!isatty(STDIN_FILENO))
		return tool_usage(t, "the VPN wants a user name and a password: put them into a file, each on a line, and give --auth=FILE");
	if (!ask_line("User name", false, text, 300) || !ask_line("Password", true, password, sizeof password))
		return tool_fail(t, "no user name and password were given");
	n = strlen(text);
	memcpy(text + n, password, strlen(password) + 1);
	vpn_bundle_put(w, VPN_AUTH, text, strlen(text));
	explicit_bzero(text, sizeof text);
	explicit_bzero(password, sizeof password);
	return 0;
}

int vpn_pack(struct tool *t, const char *file, const char *auth, struct wr *ret)
{
	_cleanup_free_ struct vpn_refs *refs = xcalloc(1, sizeof *refs);
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = read_file(t, file, &text, &n);

	if (r)
		return r;
	vpn_bundle_put(ret, VPN_MAIN, text, n);
	r = vpn_refs(refs, rd_mem(text, n), &e);
	explicit_bzero(text, n);
	if (r < 0)
		return tool_fail(t, "'%s': %s", file, e.msg);
	for (size_t i = 0; i < refs->n; i++) {
		_cleanup_free_ char *path = beside(file, refs->name[i]);
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= streq(refs->name[k], refs->name[i]);
		r = again ? 0 : add_file(t, ret, refs->name[i], path);
		if (r)
			return r;
	}
	if (auth && !refs->asks)
		return tool_usage(t, "--auth: this configuration asks for no user name");
	r = !refs->asks ? 0 : auth ? add_file(t, ret, VPN_AUTH, auth) : ask_auth(t, ret);
	if (r == 0 && !wr_ok(ret))
		return tool_fail(t, "'%s': configuration and files are too large together", file);
	return r;
}
