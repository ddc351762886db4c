/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of the standard services: the first byte chooses the parser. */
#include "base/str.h"
#include "proto/appmenu.h"
#include "proto/desktop.h"
#include "proto/isotime.h"
#include "proto/opening.h"
#include "proto/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void date(struct rd r)
{
	char out[ISOTIME_CAP];
	struct isotime t, back;

	if (isotime_get(r, &t) < 0)
		return;
	/* what was accepted is written and read again as the same */
	if (isotime_put(out, t, true) < 0 || isotime_get(rd_mem(out, strlen(out)), &back) < 0 || back.sec != t.sec || back.nsec != t.nsec)
		abort();
}

static void opening(struct rd r)
{
	static char url[OPEN_URL_MAX];
	struct open_name n;

	if (open_name_get(&n, r, NULL) == 0 && (!n.name[0] || strchr("-.", n.name[0]) || !str_chars(n.name, "._@+-")))
		abort();
	if (open_url_get(url, r, NULL) == 0 && (!str_starts(url, "http") && !str_starts(url, "ftp://")))
		abort();
}

static void menu(struct rd r)
{
	struct wr w = wr_grow(1 << 20);
	unsigned skipped = 0;
	struct rd file = r;
	struct appmenu a;

	while (appmenu_next(&r, &a, &skipped) > 0) {
		if (!appmenu_id_ok(a.id) || !a.name[0] || strpbrk(a.name, "\n\\") || strpbrk(a.comment, "\n\\") || strchr(a.icon, '/'))
			abort();
		appmenu_entry(&w, "q", &a, NULL);
	}
	wr_reset(&w);
	if (appmenu_put(&w, "x", "/x.desktop", file))
		sink += w.len;
	wr_free(&w);
}

static void mime(const uint8_t *data, size_t size)
{
	struct rd r = rd_mem(data, size);
	char out[MIME_CAP], *argv[32], *text = xmalloc(size + 32);
	int n = desktop_exec_with(r, "/operand %f", text, size + 32, argv, 32, NULL);

	for (int i = 0; i < n; i++)
		sink += strlen(argv[i]);
	sink += mime_of_name(r, "a.tar.gz", out);
	for (unsigned i = 0; i < 4 && mime_app(r, "Default Applications", "text/plain", i, out); i++)
		if (strchr(out, '/') || out[0] == '.')
			abort();
	free(text);
}

static void archive(struct rd r)
{
	static struct tar t;
	int k;

	memset(&t, 0, sizeof t);
	while (rd_left(&r) >= TAR_BLOCK) {
		k = tar_header(&t, rd_sub(&r, TAR_BLOCK), NULL);
		if (k < 0)
			return;
		if (k == TAR_META && (t.e.size > rd_left(&r) || tar_meta(&t, rd_sub(&r, (size_t)t.e.size), NULL) < 0))
			return;
		sink += strlen(t.e.name) + strlen(t.e.link);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r;

	if (size == 0)
		return 0;
	r = rd_mem(data + 1, size - 1);
	switch (data[0]) {
	case 'd':
		date(r);
		break;
	case 'o':
		opening(r);
		break;
	case 'm':
		menu(r);
		break;
	case 't':
		archive(r);
		break;
	default:
		mime(data + 1, size - 1);
	}
	return 0;
}
