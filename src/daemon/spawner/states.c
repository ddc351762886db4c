/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saved states (docs/states.md): the memory files of a source, which are sealed when it has ended and given to the holder, and those of a state as a
 * clone gets them. No byte of any of them is read here.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"
#include "storage/qcow2fmt.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SWEEP_MS 60000

struct source {
	struct source *next;
	uint32_t qid;
	char key[VM_STATE_KEY_LEN + 1];
	bool ended;
	int fds[STATE_FDS];
};

static void source_free(struct source *x)
{
	for (size_t i = 0; i < STATE_FDS; i++)
		fd_closep(&x->fds[i]);
	free(x);
}

/* Takes those out that have ended, or all. */
static void drop_sources(struct spawner *s, bool all)
{
	struct source **p = &s->sources;

	while (*p) {
		struct source *x = *p;

		if (!x->ended && !all) {
			p = &x->next;
			continue;
		}
		*p = x->next;
		source_free(x);
	}
}

static struct source **source_find(struct spawner *s, uint32_t qid)
{
	struct source **p = &s->sources;

	while (*p && (*p)->qid != qid)
		p = &(*p)->next;
	return p;
}

static int memory_file(const char *name, uint64_t size, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_errno(e, errno, "memory for the state's %s", name);
	return STEAL_FD(fd);
}

/* Index of the volatile disk, or -ENOENT. */
static int volatile_of(const struct vm_spec *spec)
{
	for (uint32_t i = 0; i < spec->n_disks; i++)
		if (streq(spec->disks[i].serial, "volatile") && spec->disks[i].n_layers == 0)
			return (int)i;
	return -ENOENT;
}

int source_prepare(struct disk_fds *d, const struct vm_spec *spec, struct err *e)
{
	int i = volatile_of(spec);

	if (i < 0)
		return err_set(e, EINVAL, "a source needs an empty volatile disk");
	d->ram = memory_file("ram", (uint64_t)spec->memory_mib << 20, e);
	if (d->ram < 0)
		return d->ram;
	d->state = memory_file("device", 0, e);
	if (d->state < 0)
		return d->state;
	d->ephemeral[i] = memory_file("volatile", spec->disks[i].ephemeral_size, e);
	return d->ephemeral[i] < 0 ? d->ephemeral[i] : 0;
}

int source_started(struct spawner *s, const struct vm_spec *spec, const struct disk_fds *d, struct err *e)
{
	const int from[STATE_FDS] = { [STATE_RAM] = d->ram, [STATE_DEVICE] = d->state, [STATE_VOLATILE] = d->ephemeral[volatile_of(spec)] };
	struct source **old, *x;

	drop_sources(s, false);
	/* A qid that is given a second time: its first machine has gone without our knowing. */
	old = source_find(s, spec->qid);
	if (*old) {
		x = *old;
		*old = x->next;
		source_free(x);
	}
	x = xcalloc(1, sizeof *x);
	x->qid = spec->qid;
	memcpy(x->key, spec->state, sizeof x->key);
	for (size_t i = 0; i < STATE_FDS; i++)
		x->fds[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
	for (size_t i = 0; i < STATE_FDS; i++) {
		if (x->fds[i] >= 0)
			continue;
		source_free(x);
		return err_errno(e, EMFILE, "descriptors of the source");
	}
	x->next = s->sources;
	s->sources = x;
	return 0;
}

static void on_sweep(struct ev_timer *t, void *arg)
{
	drop_sources(arg, false);
}

void source_ended(struct spawner *s, uint32_t qid)
{
	struct source *x = *source_find(s, qid);

	if (!x)
		return;
	x->ended = true;
	if (!s->sweep)
		s->sweep = ev_timer_new(s->loop, on_sweep, s);
	ev_timer_start(s->sweep, SWEEP_MS);
}

void states_fini(struct spawner *s)
{
	drop_sources(s, true);
	ev_timer_free(STEAL_PTR(s->sweep));
}

/* --- clones --------------------------------------------------------------------------------------------------------------------- */

/* A description of its own: clones must not share a position in the file. */
static int reopen(int fd, struct err *e)
{
	char path[40];
	int r;

	if (str_printf(path, sizeof path, "/proc/self/fd/%d", fd) < 0)
		return err_set(e, EBADF, "descriptor of the state");
	r = open(path, O_RDONLY | O_CLOEXEC);
	return r < 0 ? err_errno(e, errno, "opening a part of the state") : r;
}

int clone_prepare(struct disk_fds *d, struct vm_spec *spec, const int fds[STATE_FDS], struct err *e)
{
	int i = volatile_of(spec);
	struct vm_disk *disk;
	struct stat ram, vol;

	if (i < 0)
		return err_set(e, EINVAL, "a clone needs an empty volatile disk");
	for (size_t k = 0; k < STATE_FDS; k++)
		if (fcntl(fds[k], F_GET_SEALS) != SEALS)
			return err_set(e, EPERM, "the state is not sealed");
	disk = &spec->disks[i];
	if (fstat(fds[STATE_RAM], &ram) < 0 || fstat(fds[STATE_VOLATILE], &vol) < 0 || ram.st_size != (off_t)spec->memory_mib << 20 ||
	    vol.st_size != (off_t)disk->ephemeral_size)
		return err_set(e, EINVAL, "the state is of a machine of another size");
	d->ram = fcntl(fds[STATE_RAM], F_DUPFD_CLOEXEC, 3);
	if (d->ram < 0)
		return err_errno(e, errno, "descriptors of the state");
	d->state = reopen(fds[STATE_DEVICE], e);
	if (d->state < 0)
		return d->state;
	d->layers[i][0] = reopen(fds[STATE_VOLATILE], e);
	if (d->layers[i][0] < 0)
		return d->layers[i][0];
	disk->layers[0] = (struct vm_layer){ .path = "state", .format = VM_FMT_RAW };
	disk->n_layers = 1;
	return 0;
}

/* --- requests ------------------------------------------------------------------------------------------------------------------- */

/* A request of the core that waits for the holder. */
struct asked {
	struct msg m; /* only type and serial */
};

static void on_done(struct spawner *s, struct msg *m, const struct err *why, void *arg)
{
	_cleanup_free_ struct asked *a = arg;
	struct err e = { 0 };
	struct wr w;
	int r = m ? ipc_reply_err(m, &e) : err_set(&e, why->code, "%s", why->msg);

	if (r < 0) {
		log_warn("%s: %s", ipc_type_name(a->m.type), err_text(&e, r));
		refuse(s, a->m.type, a->m.serial, r, &e);
		return;
	}
	w = wr_mem(m->data, m->len);
	w.len = m->len;
	reply(s, &a->m, &w, NULL, 0);
}

static int ask(struct spawner *s, const struct msg *m, uint32_t type, const struct wr *w, const int *fds, size_t n, struct err *e)
{
	struct asked *a = xcalloc(1, sizeof *a);
	int r;

	a->m.type = m->type;
	a->m.serial = m->serial;
	r = holder_request(s, type, w, fds, n, on_done, a, e);
	if (r < 0)
		free(a);
	return r;
}

int on_state_keep(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_state_keep q;
	struct ipc_ho_keep h = { .memory_only = 0 };
	struct source **p, *x;
	struct rd rd = msg_rd(m);
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	int r = 0;

	if (ipc_get_sp_state_keep(&rd, &q) < 0 || !rd_done(&rd) || !vm_key_ok(q.key) || q.memory_only > 1)
		return err_set(e, EBADMSG, "malformed request");
	p = source_find(s, q.qid);
	x = *p;
	if (!x || !streq(x->key, q.key))
		return err_set(e, ENOENT, "there is no source %u of this key", q.qid);
	if (!x->ended)
		return err_set(e, EBUSY, "the source runs still");
	/* Nobody can write to them from here on, by no descriptor and no mapping; the kernel refuses the seal while one is there. */
	for (size_t i = 0; r >= 0 && i < STATE_FDS; i++)
		if (fcntl(x->fds[i], F_ADD_SEALS, SEALS) < 0)
			r = err_errno(e, errno, "sealing the state");
	memcpy(h.key, q.key, sizeof h.key);
	h.memory_only = q.memory_only;
	ipc_put_ho_keep(&w, &h);
	if (r >= 0)
		r = ask(s, m, IPC_HO_KEEP, &w, x->fds, STATE_FDS, e);
	*p = x->next;
	source_free(x);
	return r;
}

int on_state_drop(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_state_drop q;
	struct ipc_ho_drop h;
	struct rd rd = msg_rd(m);
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	if (ipc_get_sp_state_drop(&rd, &q) < 0 || !rd_done(&rd) || (q.key[0] && !vm_key_ok(q.key)))
		return err_set(e, EBADMSG, "malformed request");
	memcpy(h.key, q.key, sizeof h.key);
	ipc_put_ho_drop(&w, &h);
	r = ask(s, m, IPC_HO_DROP, &w, NULL, 0, e);
	if (r != -ENOENT)
		return r;
	err_clear(e);
	reply(s, m, NULL, NULL, 0);
	return 0;
}

int on_state_list(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_states none = { .n = 0 };
	struct ipc_ho_list h = { .unused = 0 };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	ipc_put_ho_list(&w, &h);
	r = ask(s, m, IPC_HO_LIST, &w, NULL, 0, e);
	if (r != -ENOENT)
		return r;
	err_clear(e);
	w.len = 0;
	ipc_put_sp_states(&w, &none);
	reply(s, m, &w, NULL, 0);
	return 0;
}
