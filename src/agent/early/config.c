/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Name, time zone, random seed and the user's own early script. */
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "base/wr.h"

#define ZONES "/usr/share/zoneinfo"

char *hosts_update(const char *old, const char *name)
{
	struct rd r = rd_mem(old, strlen(old)), line;
	struct wr w = wr_grow(1 << 20);
	bool done = false, same = false;

	while (rd_line(&r, &line)) {
		struct rd all = line, addr = rd_until(&line, '\t');

		if (!rd_ok(&addr) || !rd_eq(&addr, "127.0.1.1")) {
			struct rd blank = all;

			addr = rd_until(&blank, ' ');
			line = blank;
		}
		if (rd_ok(&addr) && rd_eq(&addr, "127.0.1.1")) {
			if (done)
				continue;
			same = rd_eq(&line, name);
			wr_printf(&w, "127.0.1.1\t%s\n", name);
			done = true;
			continue;
		}
		wr_bytes(&w, all.p, rd_left(&all));
		wr_str(&w, "\n");
	}
	if (!done)
		wr_printf(&w, "127.0.1.1\t%s\n", name);
	if (same) {
		wr_free(&w);
		return NULL;
	}
	return wr_take(&w, NULL);
}

/* set_text writes a configuration file unless the user protected it or it says so already (a
   write costs a block of the layer). */
static int set_text(const char *path, const char *text, struct err *e)
{
	_cleanup_free_ char *old = NULL;

	if (early_protected(path))
		return 0;
	if (fs_read(AT_FDCWD, path, 1 << 16, &old, NULL, NULL) == 0 && streq(old, text))
		return 0;
	return text_put(path, text, 0644, e);
}

int names_put(const char *name, struct err *e)
{
	_cleanup_free_ char *hosts = NULL;
	char line[70];
	int r;

	if (str_printf(line, sizeof line, "%s\n", name) < 0)
		return err_set(e, ENAMETOOLONG, "host name");
	r = set_text("/etc/hostname", line, e);
	if (r < 0 || early_protected("/etc/hosts"))
		return r;
	if (fs_read(AT_FDCWD, "/etc/hosts", 1 << 18, &hosts, NULL, NULL) < 0)
		return text_write("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n", 0644, e);

	_cleanup_free_ char *text = hosts_update(hosts, name);

	return text ? text_put("/etc/hosts", text, 0644, e) : 0;
}

int early_hostname(struct early *q, struct err *e)
{
	char name[65];
	int r = early_read(q, "/name", name, sizeof name, e);

	if (r < 0)
		return r == -ENOENT ? err_set(e, ENOENT, "QubesDB has no /name") : r;
	if (!ch_alnum(name[0]) || !str_chars(name, "-_."))
		return err_set(e, EINVAL, "/name is not a host name");
	if (early_protected("/etc/hostname"))
		return 0;
	if (sethostname(name, strlen(name)) < 0)
		return err_errno(e, errno, "setting the host name");
	return names_put(name, e);
}

bool timezone_ok(const char *tz)
{
	if (!ch_alnum(tz[0]) || !str_chars(tz, "/_+-") || strlen(tz) > 60)
		return false;
	return !strstr(tz, "//");	/* no dot is allowed, so ".." cannot occur */
}

int early_timezone(struct early *q, struct err *e)
{
	char tz[QDB_VALUE_MAX], zone[160], line[160], now[160];
	ssize_t n;
	int r = early_read(q, "/qubes-timezone", tz, sizeof tz, e);

	if (r == -ENOENT || (r == 0 && early_protected("/etc/timezone")))
		return 0;
	if (r < 0)
		return r;
	if (!timezone_ok(tz))
		return err_set(e, EINVAL, "/qubes-timezone is not a time zone");
	if (str_printf(zone, sizeof zone, ZONES "/%s", tz) < 0 || str_printf(line, sizeof line, "%s\n", tz) < 0)
		return err_set(e, ENAMETOOLONG, "time zone");
	if (access(zone, F_OK) < 0)
		return 0;	/* a minimal template has no zone files */
	n = readlink("/etc/localtime", now, sizeof now - 1);
	if (n >= 0)
		now[n] = '\0';
	if (n < 0 || !streq(now, zone)) {
		if (unlink("/etc/localtime") < 0 && errno != ENOENT)
			return err_errno(e, errno, "replacing /etc/localtime");
		if (symlink(zone, "/etc/localtime") < 0)
			return err_errno(e, errno, "making /etc/localtime");
	}
	return set_text("/etc/timezone", line, e);
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

ssize_t base64_decode(const char *text, uint8_t *ret, size_t cap)
{
	size_t len = strlen(text), n = 0;

	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = 0;
		size_t bytes = 3;

		for (size_t j = 0; j < 4; j++) {
			int d = base64_digit(text[i + j]);

			if (text[i + j] == '=' && i + 4 == len && (j == 3 || (j == 2 && text[i + 3] == '='))) {
				bytes--;
				d = 0;
			}
			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		if (n + bytes > cap)
			return -EINVAL;
		for (size_t j = 0; j < bytes; j++)
			ret[n++] = (uint8_t)(v >> (16 - 8 * j));
	}
	return (ssize_t)n;
}

int early_random_seed(struct early *q, struct err *e)
{
	char text[256];
	uint8_t seed[160];
	_cleanup_fd_ int fd = -1;
	ssize_t n;
	int r = early_read(q, "/qubes-random-seed", text, sizeof text, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	n = base64_decode(text, seed, sizeof seed);
	if (n < 0)
		return err_set(e, EINVAL, "/qubes-random-seed is not base64");
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "opening /dev/urandom");
	r = write_full(fd, seed, (size_t)n);
	explicit_bzero(seed, sizeof seed);
	explicit_bzero(text, sizeof text);
	if (r < 0)
		return err_errno(e, -r, "writing the random seed");
	return qdbc_rm(&q->db, "/qubes-random-seed", e);
}

int early_rc_local(struct early *q, struct err *e)
{
	static const char *const argv[] = { RW "/config/rc.local-early", NULL };

	if (!q->rw_mounted || q->custom_persist || access(argv[0], X_OK) < 0)
		return 0;
	return run_program(argv, e);
}
