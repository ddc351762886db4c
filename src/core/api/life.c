/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Start, shutdown and their kin: what is refused without asking the machine. The rest is the daemon's. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"
#include "core/device.h"

/* The qubes that depend on q while they run. */
static const struct qube *running_client(const struct core *core, const struct qube *q, const char **ret_what)
{
	static const enum prop_id links[] = { P_netvm, P_audiovm, P_guivm };

	for (size_t i = 0; i < core->n_sorted; i++) {
		const struct qube *x = core->sorted[i];

		if (x == q || x->klass == K_ADMIN || x->klass == K_REMOTE || qube_halted(x))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(links); k++)
			if (prop_vm(core, x, links[k]) == q) {
				*ret_what = props[links[k]].name;
				return x;
			}
	}
	return NULL;
}

static int not_dom0(struct call *c, int code)
{
	if (c->dest->klass == K_ADMIN || c->dest->klass == K_REMOTE)
		return err_set(&c->err, code, "'%s' is not a qube that starts and stops here", c->dest->name.s);
	return 0;
}

static int start(struct call *c)
{
	const char *why = kv_get(&c->dest->features, "prohibit-start");
	int r;

	if (why && why[0])
		return err_set(&c->err, AE_GENERIC, "Qube start is prohibited. Rationale: %s", why);
	r = device_check_start(c->core, c->dest, &c->err);
	if (r < 0)
		return r;
	if (c->core->no_vms)
		return err_set(&c->err, AE_GENERIC, "this instance was started with --no-vms: qubes cannot be started");
	return c->core->ops->start(c->core->ops_ctx, c->dest, c);
}

int api_start(struct call *c)
{
	int r = not_dom0(c, AE_VM_NOT_HALTED);

	if (r < 0)
		return r;
	if (c->dest->state == LIFE_RUNNING || c->dest->state == LIFE_PAUSED || c->dest->state == LIFE_SUSPENDED)
		return 0;
	return start(c);
}

/* The descriptor itself says whether the qube may write: nobody gets more than who opened it had. */
static int check_drive(struct call *c, bool write)
{
	int flags = fcntl(c->given, F_GETFL);
	struct stat st;

	if (flags < 0 || flags & O_PATH || fstat(c->given, &st) < 0 || (flags & O_ACCMODE) != (write ? O_RDWR : O_RDONLY))
		return err_set(&c->err, AE_VALUE, "the drive is not open for reading%s", write ? " and writing" : " only");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(&c->err, AE_VALUE, "a drive is a file or a block device");
	if (S_ISREG(st.st_mode) && st.st_size < 512)
		return err_set(&c->err, AE_VALUE, "the drive is empty");
	if (write && qube_ram_only(c->core, c->dest))
		return err_set(&c->err, AE_VALUE, "'%s' leaves nothing on a disk: its drives are read-only (cdrom)", c->dest_name);
	return 0;
}

/* A start with one more disk, for this start only: what came beside the request. Argument: cdrom (read-only) or hd. */
int api_start_drive(struct call *c)
{
	bool write = streq(c->arg, "hd");
	int r = not_dom0(c, AE_VM_NOT_HALTED);

	if (r < 0)
		return r;
	if (!write && !streq(c->arg, "cdrom"))
		return err_set(&c->err, AE_PROTOCOL, "the argument is cdrom or hd");
	if (!qube_halted(c->dest))
		return err_set(&c->err, AE_VM_NOT_HALTED, "'%s' is %s: a drive can only be given when it starts", c->dest_name, life_name(c->dest->state));
	r = check_drive(c, write);
	return r < 0 ? r : start(c);
}

int api_shutdown(struct call *c)
{
	bool force = false, wait = false;
	struct rd r = rd_mem(c->arg, strlen(c->arg));
	const struct qube *x;
	const char *what;
	int k;

	while (rd_left(&r) > 0) {
		const uint8_t *plus = memchr(r.p, '+', rd_left(&r));
		struct rd word = rd_sub(&r, plus ? (size_t)(plus - r.p) : rd_left(&r));

		if (plus)
			rd_skip(&r, 1);
		if (rd_eq(&word, "force") && !force)
			force = true;
		else if (rd_eq(&word, "wait") && !wait)
			wait = true;
		else
			return err_set(&c->err, AE_PROTOCOL, "the argument is force, wait, or both joined by +");
	}
	k = not_dom0(c, AE_VM_NOT_STARTED);
	if (k < 0)
		return k;
	if (qube_halted(c->dest))
		return err_set(&c->err, AE_VM_NOT_STARTED, "'%s' is not running", c->dest->name.s);
	x = force ? NULL : running_client(c->core, c->dest, &what);
	if (x)
		return err_set(&c->err, AE_VM_IN_USE, "'%s' is the %s of '%s', which is running", c->dest->name.s, what, x->name.s);
	if (c->dest->state == LIFE_PAUSED || c->dest->state == LIFE_SUSPENDED) {
		if (!force)
			return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is %s", c->dest->name.s, c->dest->state == LIFE_PAUSED ? "paused" : "suspended");
		return c->core->ops->kill(c->core->ops_ctx, c->dest, c);
	}
	event(c->core, c->dest, "domain-pre-shutdown", "force", force ? "True" : "False", NULL);
	return c->core->ops->shutdown(c->core->ops_ctx, c->dest, wait, c);
}

int api_kill(struct call *c)
{
	int r = not_dom0(c, AE_VM_NOT_STARTED);

	if (r < 0)
		return r;
	if (qube_halted(c->dest))
		return err_set(&c->err, AE_VM_NOT_STARTED, "'%s' is not running", c->dest->name.s);
	return c->core->ops->kill(c->core->ops_ctx, c->dest, c);
}

/* Suspend and resume are a pause under another name: the machines have no sleep state of their own. */
static int set_pause(struct call *c, enum life_event ev, const char *before)
{
	bool stop = ev == LIFE_EV_PAUSE || ev == LIFE_EV_SUSPEND;
	int r = not_dom0(c, stop ? AE_VM_NOT_RUNNING : AE_VM_NOT_PAUSED);

	if (r < 0)
		return r;
	r = life_next(c->dest->state, ev, &c->err);
	if (r < 0)
		return r;
	event(c->core, c->dest, before, NULL);
	return c->core->ops->pause(c->core->ops_ctx, c->dest, ev, c);
}

int api_pause(struct call *c)
{
	return set_pause(c, LIFE_EV_PAUSE, "domain-pre-paused");
}

int api_unpause(struct call *c)
{
	return set_pause(c, LIFE_EV_UNPAUSE, "domain-pre-unpaused");
}

int api_suspend(struct call *c)
{
	return set_pause(c, LIFE_EV_SUSPEND, "domain-pre-paused");
}

int api_resume(struct call *c)
{
	return set_pause(c, LIFE_EV_RESUME, "domain-pre-unpaused");
}

int api_suspend_host(struct call *c)
{
	if (c->core->no_vms || !c->core->ops->suspend_host)
		return 0; /* nothing runs */
	return c->core->ops->suspend_host(c->core->ops_ctx, c->m->param == 1, c);
}

int api_current_state(struct call *c)
{
	unsigned long long kib = 0;
	struct sysinfo si;

	if (!qube_halted(c->dest) && c->dest->klass != K_ADMIN && c->dest->klass != K_REMOTE)
		return c->core->ops->current_state(c->core->ops_ctx, c->dest, c);
	/* dom0 has the memory of the host. How long its processors worked is not told to this process. */
	if (c->dest->klass == K_ADMIN && sysinfo(&si) == 0)
		kib = (unsigned long long)si.totalram * si.mem_unit / 1024;
	wr_printf(&c->out, "mem=%llu mem_static_max=%llu cputime=0 power_state=%s", kib, kib, life_name(c->dest->state));
	return 0;
}

int api_console(struct call *c)
{
	int r = not_dom0(c, AE_VM_NOT_STARTED);
	char path[PATH_MAX];

	if (r < 0)
		return r;
	if (qube_halted(c->dest))
		return err_set(&c->err, AE_VM_NOT_STARTED, "'%s' is not running", c->dest->name.s);
	wr_str(&c->out, path_fmt(path, PATH_QUBE_RUN, "/%u/console.sock", c->dest->qid));
	return 0;
}
