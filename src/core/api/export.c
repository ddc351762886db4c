/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * internal.vm.volume.ExportBegin, ExportEnd: a raw image of a volume's committed state for a tool of dom0 to read, for as long as the tool wants. The
 * name that the tool gives tells several exports apart.
 */
#include "base/str.h"
#include "core/api/api.h"

static int request(struct call *c, enum st_op op, struct st_request *rq)
{
	int r = 0;

	if (!c->vol->save_on_stop)
		r = err_set(&c->err, AE_STORAGE, "the %s volume of '%s' keeps nothing that could be exported", c->vol->name, c->dest->name.s);
	else if (!c->body[0] || !str_chars(c->body, "") || strlen(c->body) >= sizeof rq->revision)
		r = err_set(&c->err, AE_PROTOCOL, "the name of an export is letters and digits");
	if (r == 0)
		r = volume_request(c->core, c->dest, c->vol, op, rq, &c->err);
	if (r == 0)
		r = str_copy(rq->revision, sizeof rq->revision, c->body);
	return r;
}

static void begun(struct call *c, int r, const struct st_reply *reply)
{
	if (r >= 0)
		wr_printf(&c->out, "%llu %s", (unsigned long long)reply->size, reply->text);
	call_finish(c, r);
}

int api_export_begin(struct call *c)
{
	struct st_request rq;
	int r = request(c, ST_EXPORT_BEGIN, &rq);

	return r < 0 ? r : call_storage(c, &rq, begun);
}

static void ended(struct call *c, int r, const struct st_reply *reply)
{
	(void)reply;
	call_finish(c, r);
}

int api_export_end(struct call *c)
{
	struct st_request rq;
	int r = request(c, ST_EXPORT_END, &rq);

	return r < 0 ? r : call_storage(c, &rq, ended);
}
