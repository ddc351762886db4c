/* SPDX-License-Identifier: GPL-3.0-or-later */
/* After a restart of the core: who still runs? Each qube's linkd answers for it, or its directory is removed. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/net.h"

#define HELLO_MS 2000

void run_remove_files(struct qube *q)
{
	static const char *const sockets[] = { "/qubesdb.%s.sock", "/qubesdb.%s.ro.sock", "/qrexec.%s" };
	char path[PATH_MAX], number[16], rest[64];
	struct err e = { 0 };

	if (fs_rm_rf(AT_FDCWD, path_fmt(path, PATH_QUBE_RUN, "/%u", q->qid), &e) < 0)
		log_warn("%s", e.msg);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		const char *at = strstr(sockets[i], "%s");

		if (str_printf(rest, sizeof rest, "%.*s%s%s", (int)(at - sockets[i]), sockets[i], q->name.s, at + 2) == 0)
			unlink(path_fmt(path, PATH_RUN, "%s", rest));
	}
	unlink(path_fmt(path, PATH_RUN, "/ram-only.%s", q->name.s));
	if (str_printf(number, sizeof number, "%u", q->qid) == 0)
		unlink(path_fmt(path, PATH_RUN, "/qrexec.%s", number));
}

/* Waits for the first message of a linkd; blocking, before anybody is served. */
static bool read_hello(int fd, struct ipc_ld_hello *h)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	_cleanup_msg_ struct msg m = { 0 };
	struct rd rd;

	if (poll(&p, 1, HELLO_MS) <= 0 || msg_recv(fd, &m) <= 0 || m.type != IPC_LD_HELLO)
		return false;
	rd = msg_rd(&m);
	return ipc_get_ld_hello(&rd, h) == 0 && rd_done(&rd) && h->version == IPC_VERSION;
}

/* PEER.PORT of the one call that a disposable was made for. */
static void load_dispose(struct run *r, char *text)
{
	char *dot = strchr(text, '.');
	uint64_t peer, port;

	if (!dot)
		return;
	*dot = '\0';
	if (str_u64(text, UINT32_MAX, &peer) < 0 || str_u64(dot + 1, UINT32_MAX, &port) < 0)
		return;
	r->dispose = true;
	r->dispose_peer = (uint32_t)peer;
	r->dispose_port = (uint32_t)port;
}

static void load_line(struct run *r, char *line, bool *up)
{
	char *eq = strchr(line, '=');
	uint64_t n;

	if (!eq)
		return;
	*eq++ = '\0';
	if (streq(line, "start_time") && str_u64(eq, INT64_MAX, &n) == 0)
		r->q->start_time = n;
	else if (streq(line, "net"))
		net_load(r, eq);
	else if (streq(line, "held"))
		r->q->held = true;
	else if (streq(line, "up"))
		*up = streq(eq, "1");
	else if (streq(line, "attempt") && str_u64(eq, 100, &n) == 0)
		r->attempt = (unsigned)n;
	else if (streq(line, "dispose"))
		load_dispose(r, eq);
	else if (streq(line, "clone") && str_copy(r->spec.state, sizeof r->spec.state, eq) == 0)
		r->spec.start = VM_START_CLONE;
	else if (str_starts(line, "head.") && str_u64(line + 5, VOL_N - 1, &n) == 0)
		(void)!str_copy(r->q->vol_head[n], sizeof r->q->vol_head[n], eq);
}

/* What run_save wrote for this very start. */
static bool load_state(struct run *r, const char *start_id)
{
	char path[PATH_MAX], text[256], want[64];
	_cleanup_free_ char *data = NULL;
	size_t len;
	struct rd rd, line;
	bool up = false, same = false;

	if (fs_read(AT_FDCWD, path_fmt(path, PATH_QUBE_RUN, "/%u/state", r->q->qid), 8192, &data, &len, NULL) < 0 ||
	    str_printf(want, sizeof want, "start_id=%s", start_id) < 0)
		return false;
	rd = rd_mem(data, len);
	while (rd_line(&rd, &line)) {
		same |= rd_eq(&line, want);
		rd_text(&line, text, sizeof text);
		if (rd_done(&line))
			load_line(r, text, &up);
	}
	return same && up;
}

static void adopt(struct qd *d, struct qube *q, const struct ipc_ld_hello *h)
{
	struct run *r = run_new(d, q);
	struct err e = { 0 };
	bool up = load_state(r, h->start_id);
	int k;

	r->linkd_pid = h->pid;
	r->linkd_start = h->start;
	r->qemu_pid = h->qemu_pid;
	r->qemu_start = h->qemu_start;
	r->accel = h->accel;
	r->console_seen = h->console_seen;
	r->link_up = h->link_up;
	r->boot_us = now_us();
	memcpy(q->start_id, h->start_id, sizeof q->start_id);
	for (unsigned i = 0; i < VOL_N; i++)
		r->storage_started[i] = true;
	q->state = h->state == LD_ST_PAUSED ? LIFE_PAUSED : up ? LIFE_RUNNING : LIFE_TRANSIENT;
	r->phase = up || h->state == LD_ST_PAUSED ? PH_UP : PH_BOOT;
	k = run_connect_linkd(r, &e);
	if (k < 0) {
		log_warn("%s: %s", q->name.s, e.msg);
		run_gone(r);
		return;
	}
	log_info("adopted %s (qid %u, QEMU %u, %s)", q->name.s, q->qid, h->qemu_pid, life_name(q->state));
	/* A qube that had not executed its first instruction yet has nobody left who would fill its QubesDB. */
	if (h->state == LD_ST_PRELAUNCH || h->state == LD_ST_SHUTDOWN || h->state == LD_ST_CRASHED) {
		err_set(&e, AE_VM, "the start of '%s' was interrupted", q->name.s);
		r->phase = PH_BOOT;
		run_fail(r, -AE_VM, &e);
		return;
	}
	if (run_connect_qrexec(r, &e) < 0)
		log_warn("%s: %s", q->name.s, e.msg); /* linkd's next HELLO tells that it is gone */
	if (r->phase == PH_BOOT)
		run_boot_watch(r);
}

/* One directory of run/q. */
static void look_at(struct qd *d, const char *name)
{
	char path[PATH_MAX];
	struct ipc_ld_hello h;
	struct qube *q;
	struct err e = { 0 };
	_cleanup_fd_ int fd = -1;
	uint64_t qid;

	if (str_u64(name, QID_MAX, &qid) < 0)
		return;
	q = d->core->by_qid[qid];
	fd = unix_connect(path_fmt(path, PATH_QUBE_RUN, "/%s/linkd.ctl", name), SOCK_SEQPACKET, NULL);
	if (fd < 0) {
		log_info("removing what qube %s left behind", name);
		if (q)
			run_remove_files(q);
		else if (fs_rm_rf(AT_FDCWD, path_fmt(path, PATH_QUBE_RUN, "/%s", name), &e) < 0)
			log_warn("%s", e.msg);
		return;
	}
	if (!read_hello(fd, &h)) {
		log_error("linkd of qube %s does not say hello: the qube is left alone", name);
		return;
	}
	/* linkd serves the last connection that came: this one goes, the lasting one comes with adopt(). */
	if (q && q->row == ROW_READY && streq(q->name.s, h.name))
		adopt(d, q, &h);
	else
		log_error("a qube %s (%s) runs that the database does not know", name, h.name);
}

/* By its name or by its number. */
static bool runs(struct qd *d, const char *name)
{
	const struct qube *q = qube_find(d->core, name);
	uint64_t qid;

	if (str_u64(name, QID_MAX, &qid) == 0)
		return run_find(d, (uint32_t)qid) != NULL;
	return q && run_find(d, q->qid);
}

/* Sockets and marks with a name, of qubes that are not there any more and that no directory of run/q stands for: a crash came between. */
static void sweep_names(struct qd *d)
{
	static const struct {
		const char *prefix, *suffix;
	} marks[] = { { "qubesdb.", ".ro.sock" }, { "qubesdb.", ".sock" }, { "qrexec.", "" }, { "ram-only.", "" } };
	DIR *dir = opendir(path_get(PATH_RUN));
	struct dirent *de;

	while (dir && (de = readdir(dir))) {
		size_t n = strlen(de->d_name);

		for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
			size_t a = strlen(marks[i].prefix), z = strlen(marks[i].suffix);
			struct qname parsed;
			char name[QNAME_MAX + 1], path[PATH_MAX];
			uint64_t qid;

			if (n <= a + z || !str_starts(de->d_name, marks[i].prefix) || !streq(de->d_name + n - z, marks[i].suffix) ||
			    str_printf(name, sizeof name, "%.*s", (int)(n - a - z), de->d_name + a) < 0)
				continue;
			if ((qname_parse(&parsed, name, NULL) < 0 && str_u64(name, QID_MAX, &qid) < 0) || runs(d, name))
				continue;
			log_info("removing '%s', which a qube left behind", de->d_name);
			(void)unlink(path_fmt(path, PATH_RUN, "/%s", de->d_name));
		}
	}
	if (dir)
		closedir(dir);
}

int run_adopt_all(struct qd *d, struct err *e)
{
	DIR *dir = opendir(path_get(PATH_QUBE_RUN));
	struct dirent *de;

	if (!dir)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path_get(PATH_QUBE_RUN));
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.')
			look_at(d, de->d_name);
	closedir(dir);
	sweep_names(d);
	run_commit(d);
	return 0;
}

int run_none_alive(struct err *e)
{
	DIR *dir = opendir(path_get(PATH_QUBE_RUN));
	struct dirent *de;
	int r = 0;

	while (dir && r == 0 && (de = readdir(dir))) {
		char path[PATH_MAX];
		_cleanup_fd_ int fd = -1;

		if (de->d_name[0] == '.')
			continue;
		fd = unix_connect(path_fmt(path, PATH_QUBE_RUN, "/%s/linkd.ctl", de->d_name), SOCK_SEQPACKET, NULL);
		if (fd >= 0)
			r = err_set(e, EBUSY, "qubes of this instance are running: start without --no-vms and shut them down first");
	}
	if (dir)
		closedir(dir);
	return r;
}

void run_sweep_disposables(struct qd *d)
{
	/* From the end: removing takes one out of the list. */
	for (size_t i = d->core->n_sorted; i-- > 0;) {
		struct qube *q = d->core->sorted[i];

		if (q->klass != K_DISP || !qube_halted(q) || q->run || q->busy || !prop_bool(d->core, q, P_auto_cleanup))
			continue;
		log_info("disposable %s ended while nobody looked: removing it", q->name.s);
		run_disp_forget(d, q->name.s);
		qube_remove_now(d->core, q);
	}
}
