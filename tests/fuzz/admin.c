/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers of qubesd as the tools decode them. First byte: which decoder. */
#include "client/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct adm_reply copy(const uint8_t *p, size_t n)
{
	struct adm_reply rep = { .data = xmalloc(n + 1), .len = n };

	memcpy(rep.data, p, n);
	rep.data[n] = '\0';
	return rep;
}

static void events(const uint8_t *p, size_t n)
{
	struct adm_event ev;
	ssize_t used;

	while ((used = adm_event_parse(&ev, p, n)) > 0) {
		if ((size_t)used > n)
			abort();
		for (size_t i = 0; i < ev.n_args; i++)
			if (strlen(ev.args[i].key) + strlen(ev.args[i].value) > n)
				abort();
		p += used;
		n -= (size_t)used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct adm_reply rep = { 0 };
	struct adm_qubes q = { .n = 0 };
	struct adm_props p = { .n = 0 };
	struct err e = { 0 };

	if (size < 1)
		return 0;
	switch (data[0] & 3) {
	case 0:
		(void)adm_parse(&rep, data + 1, size - 1, &e);
		adm_reply_fini(&rep);
		break;
	case 1:
		events(data + 1, size - 1);
		break;
	case 2:
		q.rep = copy(data + 1, size - 1);
		(void)adm_qubes_parse(&q, &e);
		adm_qubes_fini(&q);
		break;
	default:
		p.rep = copy(data + 1, size - 1);
		(void)adm_props_parse(&p, &e);
		adm_props_fini(&p);
		break;
	}
	return 0;
}
