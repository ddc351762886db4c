/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory for pixels: a PCI device that is plugged when the first guid comes, so it may appear a moment later. Its descriptor goes to the X server,
 * which maps it; this program maps nothing. Opening needs root: a helper does it when we are not (agent_options.bar_fd).
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <xcb/shm.h>

#include "agent/gui/agent.h"
#include "agent/gui/bardev.h"
#include "base/log.h"

#define TRY_MS 200
#define TRIES 75 /* 15 s: a machine that is emulated on a busy host may take its time to see the device */

bool bar_ready(const struct agent *a)
{
	return a->bar_seg != 0 && (a->can & GUI_CAN_BAR);
}

static int attach(struct agent *a, int fd)
{
	uint32_t seg = xcb_generate_id(a->x);
	xcb_generic_error_t *err;
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)GUI_BAR_ALIGN) {
		close(fd);
		return -EINVAL;
	}
	err = xcb_request_check(a->x, xcb_shm_attach_fd_checked(a->x, seg, fd, 0)); /* xcb closes fd */
	if (err) {
		free(err);
		return -EIO;
	}
	a->bar_seg = seg;
	bar_fini(&a->bar);
	/* the offset of a pixmap has 32 bits in the X protocol */
	bar_init(&a->bar, MIN((uint64_t)st.st_size, (uint64_t)UINT32_MAX));
	log_info("memory for pixels: mib=%llu", (unsigned long long)a->bar.size >> 20);
	return 0;
}

static void give_up(struct agent *a, const char *why)
{
	a->bar_tries = 0;
	log_warn("no memory for pixels: %s%s", why, a->can & GUI_CAN_STREAM ? "; pixels go through the stream" : "; windows stay empty");
}

static void take(struct agent *a, int fd)
{
	if (a->bar_seg) {
		close(fd);
		return;
	}
	ev_timer_stop(a->bar_timer);
	if (attach(a, fd) < 0)
		give_up(a, "the X server cannot map it");
	a->bar_tries = 0;
}

/* The helper's answer may come after we have given up waiting: it is as good then. */
static void on_helper(struct ev_io *io, int fd, int events, void *arg)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct agent *a = arg;
	int got = -1;
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		ev_io_free(STEAL_PTR(a->bar_ev));
		return;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof got))
			memcpy(&got, CMSG_DATA(c), sizeof got);
	if (got >= 0)
		take(a, got);
	agent_settle(a);
}

/* Without a helper: a file in a test, or the device when we are root. */
static void look(struct agent *a)
{
	int fd = a->o.bar_file ? open(a->o.bar_file, O_RDWR | O_CLOEXEC) : a->o.bar_fd < 0 ? bardev_open() : -ENOENT;

	if (fd >= 0) {
		take(a, fd);
	} else if (a->bar_tries++ >= TRIES) {
		give_up(a, "it was not plugged in");
	} else {
		ev_timer_start(a->bar_timer, TRY_MS);
	}
}

static void on_timer(struct ev_timer *t, void *arg)
{
	struct agent *a = arg;

	if (link_up(a) && a->can & GUI_CAN_BAR && !a->bar_seg)
		look(a);
	else
		a->bar_tries = 0;
	agent_settle(a);
}

void bar_start(struct agent *a, uint32_t mib)
{
	if (!(a->can & GUI_CAN_BAR) || mib == 0 || a->bar_seg)
		return;
	if (!a->has_shm) {
		log_warn("no memory for pixels: the X server cannot place pixmaps in it");
		return;
	}
	if (!a->bar_timer)
		a->bar_timer = ev_timer_new(a->loop, on_timer, a);
	if (a->o.bar_fd >= 0 && !a->bar_ev)
		a->bar_ev = ev_io_new(a->loop, a->o.bar_fd, EV_READ, on_helper, a);
	if (a->bar_ev && send(a->o.bar_fd, "b", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		log_warn("asking for the memory for pixels: %s", strerror(errno));
	a->bar_tries = 1;
	look(a);
}
