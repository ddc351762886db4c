/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc-report: qubes.NotifyUpdates, qubes.NotifyTools and qubes.FeaturesRequest: tells qubesd that a qube has something to say about itself. What it
 * says is in the qube's QubesDB, which qubesd reads; only NotifyUpdates has input, one number.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "client/admin.h"
#include "svc/svc.h"

#define NUMBER_MAX 20
#define COUNT_MAX 1000000

static int number(char out[NUMBER_MAX + 1], struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	uint64_t count;
	size_t n = 0;
	int k = svc_input(NUMBER_MAX, &text, &n, e);

	if (k < 0)
		return k;
	r = rd_mem(text, n);
	if (!rd_line(&r, &line) || rd_left(&r))
		return err_set(e, EINVAL, "one number is expected");
	rd_text(&line, out, NUMBER_MAX + 1);
	if (!rd_done(&line) || str_u64(out, COUNT_MAX, &count) < 0)
		return err_set(e, EINVAL, "the input is not a number up to %d", COUNT_MAX);
	return 0;
}

static int tell(const struct svc *s, const char *payload, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(ADM_REQUEST_MAX);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_fd_ int fd = -1;
	int r = adm_frame(&w, s->caller.s, "dom0", s->name, NULL, payload, strlen(payload));

	if (r < 0)
		return r;
	fd = adm_connect(path_get(PATH_QUBESD_MISC_SOCK), e);
	if (fd < 0)
		return fd;
	r = write_full(fd, w.buf, w.len);
	if (r < 0)
		return err_errno(e, -r, "telling qubesd");
	(void)shutdown(fd, SHUT_WR);
	return adm_finish(STEAL_FD(fd), &rep, e);
}

int main(void)
{
	char payload[NUMBER_MAX + 1] = "";
	struct err e = { 0 };
	struct svc s;
	int r = 0;

	svc_begin(&s);
	if (s.arg[0])
		r = err_set(&e, EINVAL, "the service takes no argument");
	if (r == 0)
		r = svc_confine(NULL, &e);
	if (r == 0 && streq(s.name, "qubes.NotifyUpdates"))
		r = number(payload, &e);
	if (r == 0)
		r = tell(&s, payload, &e);
	return svc_end(&s, r, &e);
}
