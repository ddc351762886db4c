/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory for pixels: a PCI device that is plugged when the first guid comes, so it may appear a moment later. Its descriptor goes to the X server,
 * which maps it; this program maps nothing. Opening needs root: a helper does it when we are not (agent_options.bar_fd).
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <xcb/shm.h>

#include "agent/gui/agent.h"
#include "agent/gui/bardev.h"
#include "base/log.h"

#define TRY_MS 20
#define TRIES 500

bool bar_ready(const struct agent *a)
{
	return a->bar_seg != 0 && (a->can & GUI_CAN_BAR);
}

static int ask_helper(int fd)
{
	char control[CMSG_SPACE(sizeof(int))], byte = 'b';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int got = -ENOENT;

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recvmsg(fd, &m, MSG_CMSG_CLOEXEC) != 1)
		return -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof got))
			memcpy(&got, CMSG_DATA(c), sizeof got);
	return got;
}

static int open_bar(struct agent *a)
{
	int fd;

	if (a->o.bar_file) {
		fd = open(a->o.bar_file, O_RDWR | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	return a->o.bar_fd >= 0 ? ask_helper(a->o.bar_fd) : bardev_open();
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
	/* the offset of a pixmap has 32 bits in the X protocol. xcb closes fd. */
	err = xcb_request_check(a->x, xcb_shm_attach_fd_checked(a->x, seg, fd, 0));
	if (err) {
		free(err);
		return -EIO;
	}
	a->bar_seg = seg;
	bar_fini(&a->bar);
	bar_init(&a->bar, MIN((uint64_t)st.st_size, (uint64_t)UINT32_MAX));
	log_info("memory for pixels: mib=%llu", (unsigned long long)a->bar.size >> 20);
	return 0;
}

static void give_up(struct agent *a, const char *why)
{
	ev_timer_stop(a->bar_timer);
	a->bar_tries = 0;
	log_warn("no memory for pixels: %s%s", why, a->can & GUI_CAN_STREAM ? "; pixels go through the stream" : "; windows stay empty");
	agent_settle(a);
}

static void try_bar(struct agent *a)
{
	int fd = open_bar(a), r;

	if (fd < 0) {
		if (a->bar_tries++ >= TRIES)
			give_up(a, strerror(-fd));
		else
			ev_timer_start(a->bar_timer, TRY_MS);
		return;
	}
	r = attach(a, fd);
	if (r < 0) {
		give_up(a, "the X server cannot map it");
		return;
	}
	a->bar_tries = 0;
	agent_settle(a);
}

static void on_timer(struct ev_timer *t, void *arg)
{
	struct agent *a = arg;

	if (link_up(a) && a->can & GUI_CAN_BAR)
		try_bar(a);
	else
		a->bar_tries = 0;
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
	a->bar_tries = 1;
	ev_timer_start(a->bar_timer, 1);
}
