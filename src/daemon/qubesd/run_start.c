/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a request to start up to the spawner's answer: netvm, volumes, machine description. */
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

static void next_volume(struct run *r);

int run_start_id(char out[40])
{
	uint8_t b[16];
	struct uuid u;

	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		return -EIO;
	uuid_from_bytes(&u, b);
	memcpy(out, u.s, sizeof u.s);
	return 0;
}

static int copy(char *out, size_t cap, const char *s, const char *what, struct err *e)
{
	return str_copy(out, cap, s) == 0 ? 0 : err_set(e, AE_VALUE, "the %s is too long", what);
}

/* Everything of the description that does not come from the volumes. */
static int describe(struct run *r, struct err *e)
{
	const struct core *c = r->d->core;
	struct qube *q = r->q;
	struct vm_spec *s = &r->spec;
	struct pval v;
	int k;

	memset(s, 0, sizeof *s);
	s->qid = q->qid;
	s->debug = prop_bool(c, q, P_debug);
	s->template_based = q->klass == K_APP || q->klass == K_DISP;
	s->memory_mib = (uint32_t)MIN(prop_int(c, q, P_memory, 400), (int64_t)UINT32_MAX);
	s->ports = net_ports(c, q);
	s->gui_mib = qube_gui_mib(c, q);
	s->vcpus = (uint32_t)MIN(prop_int(c, q, P_vcpus, 1), (int64_t)1024);
	if (run_start_id(s->start_id) < 0)
		return err_set(e, AE_GENERIC, "no random numbers");
	k = copy(s->name, sizeof s->name, q->name.s, "name", e);
	if (k == 0)
		k = copy(s->uuid, sizeof s->uuid, q->uuid.s, "uuid", e);
	if (k == 0)
		k = copy(s->default_user, sizeof s->default_user, prop_text(c, q, P_default_user, &v), "default user", e);
	if (k == 0)
		k = copy(s->kernel, sizeof s->kernel, prop_text(c, q, P_kernel, &v), "kernel's name", e);
	/* The command line that every guest gets is the spawner's; this is what the owner adds. swiotlb is Xen's. */
	if (k == 0 && !streq(prop_text(c, q, P_kernelopts, &v), "swiotlb=2048"))
		k = copy(s->kernelopts, sizeof s->kernelopts, v.has ? v.s : "", "list of kernel arguments", e);
	if (k == 0 && s->kernel[0] && !kernel_exists(s->kernel))
		k = err_set(e, AE_GENERIC, "kernel '%s' is not installed (qvm-prefs %s kernel, qubes-prefs default_kernel)", s->kernel, q->name.s);
	return k;
}

static struct vm_disk *add_disk(struct run *r, enum volume_id id, const char *dir, struct err *e)
{
	struct vm_disk *d = &r->spec.disks[r->spec.n_disks];

	memset(d, 0, sizeof *d);
	if (str_copy(d->serial, sizeof d->serial, run_serials[id]) < 0 || str_copy(d->pool_dir, sizeof d->pool_dir, dir) < 0) {
		err_set(e, AE_STORAGE, "the path of a pool is too long");
		return NULL;
	}
	r->spec.n_disks++;
	return d;
}

static int use_volume(struct run *r, enum volume_id id, const struct st_reply *reply, struct err *e)
{
	const struct volume *v = &r->q->vols[id];
	const struct pool *p = pool_find(r->d->core, v->pool);
	struct vm_disk *d = p ? add_disk(r, id, pool_dir(p), e) : NULL;

	if (!d)
		return -AE_STORAGE;
	d->n_layers = reply->n_layers;
	memcpy(d->layers, reply->layers, sizeof d->layers);
	/* The root of a template-based qube is shared: its throw-away layer is made in the guest. Any other snapshot gets one here. */
	d->readonly = !v->rw || (v->snap_on_start && id == VOL_ROOT);
	if (v->snap_on_start && !d->readonly && (!reply->own || qube_ram_only(r->d->core, r->q)))
		d->ephemeral_size = reply->size;
	memcpy(r->q->vol_head[id], reply->head, sizeof r->q->vol_head[id]);
	return 0;
}

static void volume_started(void *arg, int k, const struct st_reply *reply, struct err *e)
{
	struct run *r = arg;

	if (k >= 0) {
		r->storage_started[r->volume] = true;
		k = use_volume(r, r->volume, reply, e);
	}
	if (k >= 0 && r->killed) {
		*e = r->start_err;
		k = -e->code;
	}
	if (k < 0) {
		(void)err_add(e, k, "starting volume '%s'", r->q->vols[r->volume].name);
		run_fail(r, -k < ERR_DOMAIN_BASE ? -AE_STORAGE : k, e);
		return;
	}
	r->volume++;
	next_volume(r);
}

static void send_spec(struct run *r);

static void started(void *arg, int k, struct msg *m, struct err *e)
{
	struct run *r = arg;
	struct ipc_sp_started s;

	if (k == 0) {
		struct rd rd = msg_rd(m);

		if (ipc_get_sp_started(&rd, &s) < 0 || !rd_done(&rd))
			k = err_set(e, EBADMSG, "malformed answer of the spawner");
	}
	if (k < 0 && !r->killed && state_refused(r, k, e)) {
		send_spec(r);
		return;
	}
	if (k < 0) {
		run_fail(r, k, e);
		return;
	}
	r->linkd_pid = s.linkd_pid;
	r->linkd_start = s.linkd_start;
	r->qemu_pid = s.qemu_pid;
	r->qemu_start = s.qemu_start;
	if (r->killed) {
		*e = r->start_err;
		run_fail(r, -e->code, e);
		return;
	}
	run_spawned(r);
}

static void send_spec(struct run *r)
{
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct ipc_sp_start_qube head = { .qid = r->q->qid, .flags = run_start_flags(r) };
	struct err e = { 0 };
	int k;

	ipc_put_sp_start_qube(&w, &head);
	vm_spec_put(&w, &r->spec);
	k = run_disp_check(r, &e);
	if (k == 0)
		k = peer_request(r->d->spawner, IPC_SP_START_QUBE, &w, &r->drive, r->drive >= 0, started, r, &e);
	if (k < 0)
		run_fail(r, k, &e);
}

static void spawn(struct run *r)
{
	r->phase = PH_SPAWN;
	event(r->d->core, r->q, "domain-pre-spawn", "start_guid", prop_vm(r->d->core, r->q, P_guivm) ? "True" : "False", NULL);
	run_commit(r->d);
	state_plan(r);
	send_spec(r);
}

/* In memory it is a file of the spawner's in any pool. */
static bool volatile_is_volume(const struct run *r)
{
	const struct volume *v = &r->q->vols[VOL_VOLATILE];

	return volume_on_device(r->d->core, v) && !volume_ephemeral(r->d->core, v) && !qube_ram_only(r->d->core, r->q);
}

static int add_volatile(struct run *r, struct err *e)
{
	const struct volume *v = &r->q->vols[VOL_VOLATILE];
	const struct pool *p = pool_find(r->d->core, v->pool);
	const char *dir = p && !volume_on_device(r->d->core, v) ? pool_dir(p) : path_get(PATH_POOL_DEFAULT);
	struct vm_disk *d = p ? add_disk(r, VOL_VOLATILE, dir, e) : NULL;

	if (!d)
		return -AE_STORAGE;
	d->ephemeral_size = run_volatile_size(r->d->core, r->q);
	return 0;
}

static int add_modules(struct run *r, struct err *e)
{
	char path[PATH_MAX];
	struct vm_disk *d;

	if (!r->spec.kernel[0] || access(path_fmt(path, PATH_KERNELS, "/%s/modules.img", r->spec.kernel), F_OK) < 0)
		return 0;
	d = add_disk(r, VOL_KERNEL, path_get(PATH_KERNELS), e);
	if (!d)
		return -AE_STORAGE;
	d->readonly = true;
	d->n_layers = 1;
	d->layers[0].format = VM_FMT_RAW;
	return str_printf(d->layers[0].path, sizeof d->layers[0].path, "%s/modules.img", r->spec.kernel) < 0 ?
		       err_set(e, AE_STORAGE, "the name of the kernel is too long") : 0;
}

/* Raw, whatever its bytes look like: nobody in dom0 reads them. */
static int add_drive(struct run *r, struct err *e)
{
	struct vm_disk *d = &r->spec.disks[r->spec.n_disks];
	struct stat st;
	int flags;

	if (r->drive < 0)
		return 0;
	flags = fcntl(r->drive, F_GETFL);
	if (flags < 0 || fstat(r->drive, &st) < 0 || r->spec.n_disks == VM_DISKS_MAX)
		return err_set(e, AE_STORAGE, "the drive cannot be given to the qube");
	*d = (struct vm_disk){ .pool_dir = "/dev/fd", .readonly = (flags & O_ACCMODE) == O_RDONLY, .n_layers = 1,
			       .layers = { { "given", S_ISBLK(st.st_mode) ? VM_FMT_GIVEN_DEVICE : VM_FMT_GIVEN } } };
	(void)!str_copy(d->serial, sizeof d->serial, d->readonly ? "cdrom" : "hddisk");
	r->spec.n_disks++;
	return 0;
}

int run_describe_kind(struct qd *d, struct qube *q, const struct st_reply *root, struct vm_spec *ret, struct err *e)
{
	struct run *r = xcalloc(1, sizeof *r);
	_cleanup_free_ struct run *own = r;
	const struct pool *p = pool_find(d->core, q->vols[VOL_PRIVATE].pool);
	char head[sizeof q->vol_head[VOL_ROOT]];
	int k;

	r->d = d;
	r->q = q;
	memcpy(head, q->vol_head[VOL_ROOT], sizeof head);
	k = describe(r, e);
	if (k == 0)
		k = use_volume(r, VOL_ROOT, root, e);
	/* What it runs with now is not what it would be started with. */
	memcpy(q->vol_head[VOL_ROOT], head, sizeof head);
	if (k == 0 && (!p || !add_disk(r, VOL_PRIVATE, pool_dir(p), e)))
		k = -AE_STORAGE;
	if (k == 0)
		k = add_volatile(r, e);
	if (k == 0)
		k = add_modules(r, e);
	if (k == 0)
		*ret = r->spec;
	return k;
}

static void next_volume(struct run *r)
{
	struct st_request rq;
	struct err e = { 0 };
	int k = 0;

	/* In a pool of devices the throw-away disk is a volume too; elsewhere it is a file that the spawner makes. */
	if (r->volume < VOL_VOLATILE || (r->volume == VOL_VOLATILE && volatile_is_volume(r))) {
		const struct pool *p = pool_find(r->d->core, r->q->vols[r->volume].pool);

		if (p && r->q->vols[r->volume].save_on_stop)
			k = pool_takes(p, 0, &e);
		if (k == 0)
			k = volume_request(r->d->core, r->q, &r->q->vols[r->volume], ST_START, &rq, &e);
		if (k == 0 && rq.snap_on_start && !rq.source[0])
			k = err_set(&e, AE_NO_TEMPLATE, "the template of '%s' is missing", r->q->name.s);
		if (k == 0)
			k = storage_submit(r->d, &rq, volume_started, r, &e);
		if (k == 0)
			return;
	}
	if (k == 0 && r->volume == VOL_VOLATILE)
		k = add_volatile(r, &e);
	if (k == 0)
		k = add_modules(r, &e);
	if (k == 0)
		k = add_drive(r, &e);
	if (k < 0)
		run_fail(r, k, &e);
	else
		spawn(r);
}

struct netvm_wait {
	struct qd *d;
	uint32_t qid;
};

static void netvm_done(struct call *c)
{
	struct netvm_wait *w = c->conn;
	struct run *r = run_find(w->d, w->qid);
	struct err e = c->err;
	int k = c->result;

	free(w);
	call_free(c);
	if (!r || r->phase != PH_NETVM)
		return;
	if (k < 0) {
		(void)err_add(&e, k, "starting the netvm");
		run_fail(r, k, &e);
		return;
	}
	run_begin(r);
}

struct qube *run_missing_netvm(struct qd *d, struct qube *q)
{
	struct qube *n = prop_vm(d->core, q, P_netvm);

	return n && n->klass != K_ADMIN && n->klass != K_REMOTE && n->state != LIFE_RUNNING && n->state != LIFE_PAUSED && n->state != LIFE_SUSPENDED ? n : NULL;
}

/* From a clean run: describe, then volumes. Used for the first try and for a second one. */
void run_begin(struct run *r)
{
	struct err e = { 0 };
	int k;

	r->phase = PH_STORAGE;
	r->attempt++;
	r->d->runs->n_starts++;
	run_count(r->d->runs);
	r->volume = 0;
	r->boot_us = now_us();
	r->console_seen = r->link_up = r->agent_up = r->retry = r->off = r->filled = r->loaded = r->load_failed = false;
	k = describe(r, &e);
	if (k < 0)
		run_fail(r, k, &e);
	else
		next_volume(r);
}

int run_op_start(void *ctx, struct qube *q, struct call *c)
{
	struct qd *d = ctx;
	struct run *r = run_find(d, q->qid);
	int next;
	char mem[24];
	struct qube *n;
	struct netvm_wait *w;

	if (r && q->state == LIFE_TRANSIENT) {
		call_push(&r->starters, c);
		return CALL_PENDING;
	}
	if (r && q->state != LIFE_HALTED) {
		/* On its way down: the start waits for the end. */
		call_push(&r->again, c);
		return CALL_PENDING;
	}
	next = life_next(q->state, LIFE_EV_START, &c->err);
	if (next < 0)
		return next;
	r = run_new(d, q);
	r->phase = PH_NETVM;
	r->drive = c ? STEAL_FD(c->given) : -1;
	call_push(&r->starters, c);
	run_state(r, LIFE_EV_START);
	if (str_printf(mem, sizeof mem, "%lld", (long long)prop_int(d->core, q, P_memory, 0)) < 0)
		abort();
	event(d->core, q, "domain-pre-start", "start_guid", "True", "mem_required", mem, NULL);
	event(d->core, q, "domain-verify-files", NULL);
	run_commit(d);
	/* The netvm starts first when it does not run; for a preloaded disposable when that is used. */
	n = preload_waits(d->core, q) ? NULL : run_missing_netvm(d, q);
	if (!n) {
		run_begin(r);
		return CALL_PENDING;
	}
	w = xcalloc(1, sizeof *w);
	*w = (struct netvm_wait){ d, q->qid };
	internal_call(d, "admin.vm.Start", NULL, "dom0", n->name.s, netvm_done, w);
	return CALL_PENDING;
}

void run_fail(struct run *r, int code, const struct err *e)
{
	if (r->phase == PH_ENDING || r->phase == PH_CLEANUP)
		return; /* the first failure is the one that counts */
	r->retry |= state_fall_back(r, r->load_failed, err_text(e, code));
	r->failed = true;
	r->start_err = *e;
	r->start_err.code = code == -ENOMEM ? AE_MEMORY : -code; /* the spawner knows no classes */
	log_warn("%s did not start: %s", r->q->name.s, err_text(e, code));
	if (!r->retry)
		event(r->d->core, r->q, "domain-start-failed", "reason", err_text(e, code), NULL);
	run_state(r, LIFE_EV_KILL);
	run_commit(r->d);
	if (r->linkd_pid)
		run_end(r);
	else
		run_cleanup(r);
}
