/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saved states (docs/states.md §3): making the guest of a source still, saving it, loading a clone, and the one gate that every guest
 * passes that had stood still: nothing reaches it before it has taken a new seed.
 */
#include "base/log.h"
#include "daemon/linkd/linkd.h"

/* --- source ------------------------------------------------------------------------------------------------------------------- */

void state_on_ready(struct linkd *d)
{
	if (d->start != VM_START_SOURCE || d->ready_told)
		return;
	d->ready_told = true;
	ctl_event(d, LD_EV_READY, 0, "");
}

int state_freeze(struct linkd *d, uint32_t serial)
{
	int r;

	if (d->start != VM_START_SOURCE)
		return -EINVAL;
	if (d->freeze)
		return -EBUSY;
	r = mux_freeze(muxio_mux(d->x));
	if (r < 0)
		return r;
	d->freeze = pending_new(d, serial);
	muxio_kick(d->x);
	return 0;
}

void state_on_frozen(struct linkd *d)
{
	d->frozen = d->freeze != NULL;
	pending_done(STEAL_PTR(d->freeze), NULL);
}

static void on_done(const char *error, void *arg)
{
	pending_done(arg, error);
}

int state_save(struct linkd *d, uint32_t serial)
{
	struct pending *p;
	int r;

	if (d->start != VM_START_SOURCE || !d->frozen || d->state_fd < 0)
		return -EINVAL;
	p = pending_new(d, serial);
	r = d->vmm->save(d->monitor, d->state_fd, on_done, p);
	if (r < 0)
		free(p);
	return r;
}

/* --- clone -------------------------------------------------------------------------------------------------------------------- */

static void on_loaded(const char *error, void *arg)
{
	struct pending *p = arg, *cont;
	struct linkd *d = p->d;

	d->loading = false;
	d->loaded = d->wake_due = !error;
	pending_done(p, error);
	cont = STEAL_PTR(d->cont);
	if (!cont)
		return;
	if (error)
		pending_done(cont, "the state was not loaded");
	else if (state_cont(d, cont->serial) < 0)
		pending_done(cont, "the machine does not go on");
	else
		free(cont);
}

int state_load(struct linkd *d, uint32_t serial)
{
	struct pending *p;
	int r;

	if (d->start != VM_START_CLONE || d->state_fd < 0 || d->loading || d->loaded)
		return -EINVAL;
	p = pending_new(d, serial);
	r = d->vmm->load(d->monitor, d->state_fd, "private", on_loaded, p);
	if (r < 0)
		free(p);
	else
		d->loading = true;
	return r;
}

/* --- pausing and going on ------------------------------------------------------------------------------------------------------- */

static void on_stopped(const char *error, void *arg)
{
	struct pending *p = arg;

	if (error) {
		mux_release(muxio_mux(p->d->x));
		muxio_kick(p->d->x);
	}
	pending_done(p, error);
}

int state_stop(struct linkd *d, uint32_t serial)
{
	struct pending *p = pending_new(d, serial);
	int r = d->vmm->command(d->monitor, LD_STOP, on_stopped, p);

	if (r < 0)
		free(p);
	else
		/* Whether it is woken or only goes on is decided then. */
		mux_hold(muxio_mux(d->x));
	return r;
}

static int cont(struct linkd *d, vmm_done_fn fn, uint32_t serial)
{
	struct pending *p = pending_new(d, serial);
	int r = d->vmm->command(d->monitor, LD_CONT, fn, p);

	if (r < 0)
		free(p);
	return r;
}

int state_cont(struct linkd *d, uint32_t serial)
{
	int r = 0;

	if (d->loading) {
		if (d->cont)
			return -EBUSY;
		d->cont = pending_new(d, serial);
		return 0;
	}
	if (d->start == VM_START_CLONE && !d->loaded)
		return -EINVAL;
	if (d->wake_due)
		r = link_wake(d);
	else
		mux_release(muxio_mux(d->x));
	if (r < 0)
		return r;
	d->wake_due = false;
	muxio_kick(d->x);
	return cont(d, on_done, serial);
}

/* The answer is given when the guest has the seed. */
static void on_going(const char *error, void *arg)
{
	struct pending *p = arg;

	if (error)
		pending_done(STEAL_PTR(p->d->wake), error);
	free(p);
}

int state_wake(struct linkd *d, uint32_t serial)
{
	int r;

	if (d->wake)
		return -EBUSY;
	if (!d->link_up)
		return -ENOTCONN;
	r = link_wake(d);
	if (r >= 0)
		r = cont(d, on_going, serial);
	if (r >= 0)
		d->wake = pending_new(d, serial);
	return r;
}

void state_on_woken(struct linkd *d)
{
	link_send_time(d);
	pending_done(STEAL_PTR(d->wake), NULL);
}

void state_on_down(struct linkd *d)
{
	pending_done(STEAL_PTR(d->wake), "the link was interrupted");
	/* FROZEN was reported before, if that was the end. */
	if (d->freeze)
		pending_done(STEAL_PTR(d->freeze), "the link was interrupted");
}

void state_free(struct linkd *d)
{
	free(STEAL_PTR(d->freeze));
	free(STEAL_PTR(d->cont));
	free(STEAL_PTR(d->wake));
}
