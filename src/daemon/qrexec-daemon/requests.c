/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that the qube asks for: cleaned, numbered, and kept until somebody else has decided. */
#include "daemon.h"

#include "base/str.h"

static struct request *find(struct qd *qd, uint32_t id)
{
	struct request *r;

	TAILQ_FOREACH(r, &qd->requests, link)
		if (r->id == id)
			return r;
	return NULL;
}

static void drop(struct qd *qd, struct request *r)
{
	TAILQ_REMOVE(&qd->requests, r, link);
	qd->n_requests--;
	free(r);
}

static void send_refused(struct qd *qd, const uint8_t ident[QX_IDENT_LEN])
{
	uint8_t buf[QX_HDR_LEN + QX_IDENT_LEN];
	struct wr w = wr_mem(buf, sizeof buf);

	qx_put_refused(&w, ident);
	(void)agent_send(qd, &w);
}

static uint32_t new_id(struct qd *qd)
{
	do {
		qd->next_request++;
	} while (qd->next_request == 0 || find(qd, qd->next_request));
	return qd->next_request;
}

int requests_add(struct qd *qd, const struct qx_frame *f)
{
	static char service[QX_SERVICE_CAP + 1];
	struct qx_trigger t;
	struct request *req;
	int r = qx_get_trigger(&t, service, f->type, f->body);

	if (r < 0)
		return r;
	if (r > 0 || qd->n_requests >= REQUESTS_MAX) {
		if (log_rate_ok(&qd->noise, 10, 60))
			log_warn("a request was refused: %s", r > 0 ? "malformed names" : "too many are pending");
		send_refused(qd, t.ident);
		return 0;
	}
	req = xcalloc(1, sizeof *req);
	req->id = new_id(qd);
	memcpy(req->ident, t.ident, sizeof req->ident);
	TAILQ_INSERT_TAIL(&qd->requests, req, link);
	qd->n_requests++;
	r = qd->wiring->ask(qd, req, &t, service);
	if (r < 0) {
		if (log_rate_ok(&qd->noise, 10, 60))
			log_warn("a request could not be asked for: %s", strerror(-r));
		send_refused(qd, req->ident);
		drop(qd, req);
	}
	return 0;
}

void requests_connect(struct qd *qd, uint32_t id, uint32_t domain, uint32_t port)
{
	uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN + QX_IDENT_LEN];
	struct wr w = wr_mem(buf, sizeof buf);
	struct request *r = find(qd, id);

	if (!r)
		return;
	qx_put_params(&w, QX_SERVICE_CONNECT, domain, port, r->ident, sizeof r->ident);
	(void)agent_send(qd, &w);
	drop(qd, r);
}

void requests_refuse(struct qd *qd, uint32_t id)
{
	struct request *r = find(qd, id);

	if (!r)
		return;
	send_refused(qd, r->ident);
	drop(qd, r);
}

uint32_t requests_by_ident(struct qd *qd, const uint8_t ident[QX_IDENT_LEN])
{
	struct request *r;

	TAILQ_FOREACH(r, &qd->requests, link)
		if (memcmp(r->ident, ident, QX_IDENT_LEN) == 0)
			return r->id;
	return 0;
}

bool requests_pending(struct qd *qd, uint32_t id)
{
	return find(qd, id) != NULL;
}

void requests_drop(struct qd *qd)
{
	while (!TAILQ_EMPTY(&qd->requests))
		drop(qd, TAILQ_FIRST(&qd->requests));
}
