/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The qube's GUI (docs/gui.md §3): one client of dom0 at a time gets a stream to the agent's port and, where the qube has memory for pixels, a descriptor
 * of it that can only read. The memory is plugged into the machine when the first client asks, in a machine that runs and whose agent has told that it lives.
 */
#include "base/log.h"
#include "base/str.h"
#include "chan/chan.h"
#include "daemon/linkd/linkd.h"

static void on_plugged(const char *error, void *arg)
{
	struct linkd *d = arg;

	d->bar = error ? BAR_FAILED : BAR_THERE;
	if (error)
		log_warn("memory for pixels was not plugged in, so pixels come by the stream: error=%s", log_escs(error));
	else
		log_info("memory for pixels is plugged in: mib=%u", d->gui_mib);
	gui_step(d);
}

/* Gives false while the memory is not there yet. */
static bool plugged(struct linkd *d)
{
	int r;

	if (d->gui_fd < 0 || d->bar == BAR_THERE || d->bar == BAR_FAILED)
		return true;
	/* A machine that boots, stands still or takes in its state would see a device that its kernel has not asked for. */
	if (d->bar == BAR_PLUGGING || !d->link_up || d->state != LD_ST_RUNNING)
		return false;
	d->bar = BAR_PLUGGING;
	r = d->vmm->bar_add(d->monitor, VMM_GUI_PORT, d->gui_mib, d->gui_machine_fd, on_plugged, d);
	if (r < 0)
		on_plugged(strerror(-r), d);
	return false;
}

void gui_step(struct linkd *d)
{
	struct lcs_req *r = d->gui_req;
	int code;

	if (!r || !plugged(d) || !d->gui_req)
		return;
	d->gui_req = NULL;
	r->extra = d->bar == BAR_THERE ? d->gui_fd : -1;
	/* What has failed once may go well for the next client. */
	if (d->bar == BAR_FAILED)
		d->bar = BAR_NONE;
	code = meet_request(d->meet, r, true);
	if (code < 0)
		lcs_fail(r, -code, "the GUI's port cannot be joined");
}

int gui_request(struct linkd *d, struct lcs_req *r, struct err *e)
{
	if (r->conn->tag != TAG_CLIENT || r->peer != 0 || r->port != CHAN_PORT_GUI || d->start == VM_START_SOURCE)
		return err_set(e, EACCES, "the GUI is not for this client");
	if (d->gui_req || meet_has(d->meet, 0, CHAN_PORT_GUI) || muxio_has(d->x, 0, CHAN_PORT_GUI))
		return err_set(e, EBUSY, "the qube has a GUI client already");
	d->gui_req = r;
	gui_step(d);
	return 0;
}

bool gui_cancelled(struct linkd *d, const struct lcs_req *r)
{
	if (d->gui_req != r)
		return false;
	d->gui_req = NULL;
	return true;
}
