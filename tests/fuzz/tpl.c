/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Manifests and indexes of templates, and facts of foreign systems. First byte: which. What is taken, written again, gives the same. */
#include "proto/osfacts.h"
#include "proto/tpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void manifest(struct rd r)
{
	struct tpl_manifest m, again;
	struct wr w = wr_grow(8u << 20), v = wr_grow(8u << 20);
	struct err e = { 0 };

	if (tpl_manifest_get(r, &m, &e) == 0) {
		tpl_manifest_put(&w, &m);
		if (!wr_ok(&w) || tpl_manifest_get(rd_mem(w.buf, w.len), &again, &e) < 0)
			abort();
		tpl_manifest_put(&v, &again);
		if (v.len != w.len || memcmp(v.buf, w.buf, w.len) != 0 || tpl_manifest_packed(&m) != tpl_manifest_packed(&again))
			abort();
		for (size_t i = 1; i < m.n_parts; i++)
			if (m.parts[i].off < m.parts[i - 1].off + m.parts[i - 1].raw || m.parts[i].off + m.parts[i].raw > m.size)
				abort();
		tpl_manifest_fini(&again);
	}
	tpl_manifest_fini(&m);
	wr_free(&w);
	wr_free(&v);
}

static void index_(struct rd r)
{
	struct tpl_index x, again = { .n = 0 };
	struct wr w = wr_grow(8u << 20);
	struct err e = { 0 };

	if (tpl_index_get(r, &x, &e) == 0) {
		tpl_index_put(&w, &x);
		if (!wr_ok(&w) || tpl_index_get(rd_mem(w.buf, w.len), &again, &e) < 0 || again.n != x.n || again.number != x.number)
			abort();
		for (size_t i = 1; i < x.n; i++)
			if (tpl_evr_cmp(&x.v[i].info, &x.v[i - 1].info) != -tpl_evr_cmp(&x.v[i - 1].info, &x.v[i].info) || !tpl_file_ok(x.v[i].file))
				abort();
	}
	tpl_index_fini(&x);
	tpl_index_fini(&again);
	wr_free(&w);
}

static void facts(struct rd r)
{
	char out[40];

	if (osfacts_value(r, "ID", out, sizeof out) && strlen(out) >= sizeof out)
		abort();
	/* Nothing is installed whose name is not there. */
	if (osfacts_installed(r, "base-files") && !memmem(r.p, rd_left(&r), "base-files", 10))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tpl_head h;
	struct rd head;

	if (!size)
		return 0;
	if (data[0] & 4)
		facts(rd_mem(data + 1, size - 1));
	else if (data[0] & 1)
		index_(rd_mem(data + 1, size - 1));
	else
		manifest(rd_mem(data + 1, size - 1));
	head = rd_mem(data + 1, size - 1);
	if (tpl_head_get(&head, data[0] & 2 ? TPL_INDEX : TPL_TEMPLATE, &h, NULL) == 0 && (h.len == 0 || h.len > TPL_TEXT_MAX))
		abort();
	return 0;
}
