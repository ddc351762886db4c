/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-template-fetch: serves qubes.TemplateSearch and qubes.TemplateDownload in an update qube. dom0 sends what it wants ("--repoid=", "--file=",
 * "--offset=", "--length=", a line "---") and how the repository is described; curl fetches it through this qube's own network and the bytes go
 * back as they come. Nothing is checked here: dom0 trusts none of it. /rw/config/template-mirrors ("REPOSITORY ADDRESS…" a line) names
 * mirrors of this qube, which are asked first.
 */
#include <fcntl.h>
#include <signal.h>

#include "agent/services/common.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/tpl.h"

#define INPUT_MAX 16384
#define URLS_MAX 16
#define URL_MAX 1000
#define MIRRORS "/rw/config/template-mirrors"
#define CURL "/usr/bin/curl"
#define CURL_NO_RANGE 33 /* its exit status when a server cannot go on in the middle */

struct wish {
	char repo[65], file[TPL_FILE_MAX + 1];
	uint64_t offset, length; /* length UINT64_MAX: all */
	char url[URLS_MAX][URL_MAX];
	size_t n_urls;
};

/* curl takes it as one argument; what dom0 or the qube's owner writes is an address, not an option. */
static bool url_ok(const char *s)
{
	if (!str_starts(s, "https://") && !str_starts(s, "http://") && !str_starts(s, "file:///"))
		return false;
	return str_chars(s, ":/._-~%?&=+@[],$");
}

static int add_urls(struct wish *w, const char *text, struct err *e)
{
	while (*(text += strspn(text, " \t\r"))) {
		size_t n = strcspn(text, " \t\r");

		if (w->n_urls == URLS_MAX || str_printf(w->url[w->n_urls], URL_MAX, "%.*s", (int)n, text) < 0 || !url_ok(w->url[w->n_urls]))
			return err_set(e, EINVAL, "an address of the repository is not acceptable (https, http or file)");
		w->n_urls++;
		text += n;
	}
	return 0;
}

static int option(struct wish *w, const char *s, struct err *e)
{
	const char *v = strchr(s, '=');
	int r = 0;

	if (!v)
		return err_set(e, EINVAL, "an option has no value");
	v++;
	if (str_starts(s, "--repoid="))
		r = tpl_repo_ok(v) ? str_copy(w->repo, sizeof w->repo, v) : -EINVAL;
	else if (str_starts(s, "--file="))
		r = tpl_file_ok(v) ? str_copy(w->file, sizeof w->file, v) : -EINVAL;
	else if (str_starts(s, "--offset="))
		r = str_u64(v, TPL_IMAGE_MAX, &w->offset);
	else if (str_starts(s, "--length="))
		r = str_u64(v, TPL_IMAGE_MAX, &w->length);
	else if (!str_starts(s, "--releasever="))
		r = -EINVAL;
	return r < 0 ? err_set(e, EINVAL, "an option is not acceptable") : 0;
}

static void own_mirrors(struct wish *w)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0, len = strlen(w->repo);
	struct err ignored;
	struct rd r, line;

	if (fs_read(AT_FDCWD, MIRRORS, 65536, &text, &n, NULL) < 0)
		return;
	r = rd_mem(text, n);
	while (rd_line(&r, &line)) {
		char row[URL_MAX * 2];

		rd_text(&line, row, sizeof row);
		if (rd_ok(&line) && strncmp(row, w->repo, len) == 0 && (row[len] == ' ' || row[len] == '\t'))
			(void)!add_urls(w, row + len, &ignored);
	}
}

/* Options, "---", then the repository's section, of which only the addresses matter here. */
static int parse(struct wish *w, const char *text, size_t n, struct err *e)
{
	struct rd r = rd_mem(text, n), line;
	bool options = true;
	int res = 0;

	while (res == 0 && rd_line(&r, &line)) {
		char row[URL_MAX * 4];
		char *eq;

		rd_text(&line, row, sizeof row);
		if (!rd_ok(&line))
			return err_set(e, EINVAL, "a line is too long or not text");
		if (options && streq(row, "---")) {
			options = false;
			own_mirrors(w);
		} else if (options) {
			res = option(w, row, e);
		} else if (str_starts(row, "baseurl") && (eq = strchr(row, '=')) && strspn(row + 7, " \t") == (size_t)(eq - row - 7)) {
			res = add_urls(w, eq + 1, e);
		}
	}
	if (res == 0 && (options || !w->repo[0] || !w->n_urls))
		res = err_set(e, EINVAL, "the request has no repository or no address");
	return res;
}

/* Copies at most want bytes from curl to dom0 after dropping skip ones. Gives what was sent through *ret. */
static int pump(int from, uint64_t skip, uint64_t want, uint64_t *ret)
{
	_cleanup_free_ uint8_t *buf = xmalloc(65536);

	while (*ret < want) {
		ssize_t n = read(from, buf, 65536);
		size_t at, len;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		at = (size_t)MIN(skip, (uint64_t)n);
		skip -= at;
		len = (size_t)MIN((uint64_t)n - at, want - *ret);
		r = len ? write_full(STDOUT_FILENO, buf + at, len) : 0;
		if (r < 0)
			return r;
		*ret += len;
	}
	return 0;
}

/* One run of curl. Gives its exit status. */
static int fetch(const char *url, uint64_t resume, uint64_t skip, uint64_t want, uint64_t *sent, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int rfd = -1, wfd = -1;
	char at[24];
	const char *argv[] = { "curl", "--silent", "--show-error", "--fail", "--location", "--proto", "=https,http,file", "--proto-redir", "=https,http",
			       "--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60", "--output", "-", "--url", url, NULL, NULL, NULL };
	struct proc_spec s = { .path = CURL, .argv = argv, .keep_stderr = true, .death_signal = SIGTERM };
	size_t n = ARRAY_SIZE(argv) - 3;
	int pair[2], r, status = 0;

	if (pipe2(pair, O_CLOEXEC) < 0 || str_printf(at, sizeof at, "%llu", (unsigned long long)resume) < 0)
		return err_errno(e, errno, "pipe");
	rfd = pair[0];
	wfd = pair[1];
	if (resume) {
		argv[n++] = "--continue-at";
		argv[n++] = at;
	}
	s.fds[0].fd = wfd;
	s.fds[0].as = STDOUT_FILENO;
	s.n_fds = 1;
	r = proc_spawn(&p, &s, e);
	if (r < 0)
		return err_add(e, r, "curl (install the package of that name in this qube's template)");
	fd_closep(&wfd);
	r = pump(rfd, skip, want, sent);
	fd_closep(&rfd);
	if (r < 0)
		return err_errno(e, -r, "passing the data on");
	/* All that was wanted has come: the rest is nobody's business. */
	if (*sent == want)
		return 0;
	r = proc_wait(&p, -1, &status);
	return r < 0 ? err_errno(e, -r, "curl") : proc_exit_code(status);
}

static int serve(struct err *e)
{
	struct wish *w = xcalloc(1, sizeof *w);
	_cleanup_free_ struct wish *owner = w;
	_cleanup_free_ char *text = NULL;
	uint64_t sent = 0;
	size_t n = 0;
	int r = read_some(STDIN_FILENO, INPUT_MAX, &text, &n, e);

	w->length = UINT64_MAX;
	if (r == 0)
		r = parse(w, text, n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->n_urls; i++) {
		_cleanup_free_ char *url = xasprintf("%s%s%s", w->url[i], str_ends(w->url[i], "/") ? "" : "/", w->file[0] ? w->file : "templates.index");
		int status = fetch(url, w->offset + sent, 0, w->length, &sent, e);

		if (status == CURL_NO_RANGE && !sent)
			status = fetch(url, 0, w->offset, w->length, &sent, e);
		if (status <= 0)
			return status;
		/* The next address goes on where this one broke off. */
		w->length -= w->length == UINT64_MAX ? 0 : sent;
		w->offset += sent;
		sent = 0;
	}
	return err_set(e, EREMOTEIO, "none of the repository's addresses has '%s'", w->file[0] ? w->file : "templates.index");
}

int main(void)
{
	struct err e = { 0 };

	return finish("qubes-template-fetch", serve(&e), &e);
}
