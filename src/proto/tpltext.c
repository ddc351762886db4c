/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two signed texts: manifest and index. Lines "WORD VALUE", a first line that names the form, a last line "end". The order of the lines
 * inside one template is free for fields; parts ascend.
 */
#include "base/str.h"
#include "proto/names.h"
#include "proto/tpl.h"

#define MANIFEST_FORM "manifest 1"
#define INDEX_FORM "index 1"
#define LINE_MAX_ 1100

/* What a template file may say about the qube that is made of it: what a template may also say of itself by qubes.FeaturesRequest, its place
   in menus, and how much it needs. Nothing that reaches beyond that qube. */
static const char *const feature_names[] = { "os", "os-distribution", "os-distribution-like", "os-version", "os-eol", "qrexec", "gui", "gui-emulated", "vmexec",
					     "qubes-firewall", "qubes-agent-version", "anon-timezone", "menu-items", "default-menu-items", "netvm-menu-items",
					     "appmenus-dispvm", "whonix-gw", "whonix-ws", "anon-gateway", "anon-vm" };
static const char *const feature_prefixes[] = { "supported-service.", "supported-feature.", "supported-rpc.", "boot-mode.name.", "boot-mode.default-user." };
static const char *const property_names[] = { "memory", "maxmem", "vcpus", "default_user", "qrexec_timeout", "shutdown_timeout", "label" };

bool tpl_feature_allowed(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++)
		if (streq(feature_names[i], name))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(feature_prefixes); i++)
		if (str_starts(name, feature_prefixes[i]))
			return feature_ok(name) && strlen(name) < 100;
	return false;
}

bool tpl_property_allowed(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(property_names); i++)
		if (streq(property_names[i], name))
			return true;
	return false;
}

/* A line cut at its first blank; false when it is not "WORD VALUE" of plain characters. */
static bool cut(struct rd line, char out[LINE_MAX_], char **ret_value)
{
	char *blank;

	if (rd_left(&line) >= LINE_MAX_)
		return false;
	rd_text(&line, out, LINE_MAX_);
	for (const char *p = out; rd_ok(&line) && *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			return false;
	blank = strchr(out, ' ');
	if (!rd_ok(&line) || !blank || blank == out || !blank[1])
		return false;
	*blank = '\0';
	*ret_value = blank + 1;
	return true;
}

int tpl_manifest_add(struct tpl_manifest *m, bool property, const char *key, const char *value, struct err *e)
{
	struct tpl_kv *v = property ? m->properties : m->features;
	size_t *n = property ? &m->n_properties : &m->n_features;

	if (property ? !tpl_property_allowed(key) : !tpl_feature_allowed(key))
		return err_set(e, EPERM, "a template file may not set %s '%.60s'", property ? "property" : "feature", key);
	if (!value[0] || strlen(value) > 500 || !feature_value_ok(value) || value[0] == ' ')
		return err_set(e, EINVAL, "the value of '%.60s' is not acceptable", key);
	for (size_t i = 0; i < *n; i++)
		if (streq(v[i].key, key))
			return err_set(e, EINVAL, "'%.60s' stands twice", key);
	if (*n == TPL_KV_MAX)
		return err_set(e, E2BIG, "more than %u features or properties", TPL_KV_MAX);
	v[(*n)++] = (struct tpl_kv){ xstrdup(key), xstrdup(value) };
	return 0;
}

static int get_pair(struct tpl_manifest *m, bool property, char *text, struct err *e)
{
	char *blank = strchr(text, ' ');

	if (!blank)
		return err_set(e, EINVAL, "a value is missing");
	*blank = '\0';
	return tpl_manifest_add(m, property, text, blank + 1, e);
}

/* "OFFSET RAW PACKED SHA256" */
static int get_part(struct tpl_manifest *m, char *text, struct err *e)
{
	uint64_t v[3], end = m->n_parts ? m->parts[m->n_parts - 1].off + m->parts[m->n_parts - 1].raw : 0;
	struct tpl_part p;
	char *at = text;

	for (size_t i = 0; i < 3; i++) {
		char *blank = strchr(at, ' ');

		if (!blank)
			return err_set(e, EINVAL, "a part has too few values");
		*blank = '\0';
		if (str_u64(at, TPL_IMAGE_MAX, &v[i]) < 0)
			return err_set(e, EINVAL, "a part has a wrong number");
		at = blank + 1;
	}
	p = (struct tpl_part){ .off = v[0], .raw = (uint32_t)MIN(v[1], (uint64_t)UINT32_MAX), .packed = (uint32_t)MIN(v[2], (uint64_t)UINT32_MAX) };
	if (p.off < end || p.raw == 0 || p.raw > TPL_RAW_MAX || p.packed == 0 || p.packed > TPL_PACKED_MAX || p.off + p.raw > m->size ||
	    !hex_get(at, p.sha, sizeof p.sha))
		return err_set(e, EINVAL, "a part is not acceptable");
	if (m->n_parts == TPL_PARTS_MAX)
		return err_set(e, E2BIG, "more than %u parts", TPL_PARTS_MAX);
	/* Grows in steps of a power of two: the number of lines is bounded by the text. */
	if ((m->n_parts & (m->n_parts - 1)) == 0)
		m->parts = xreallocarray(m->parts, m->n_parts ? m->n_parts * 2 : 1, sizeof *m->parts);
	m->parts[m->n_parts++] = p;
	return 0;
}

static bool known_field(const struct tpl_info *t, const char *word, bool *ret_set)
{
	const char *w, *v;

	for (size_t i = 0; (v = tpl_field(t, i, &w, NULL)); i++)
		if (streq(w, word)) {
			*ret_set = v[0] != '\0';
			return true;
		}
	return false;
}

static int get_field(struct tpl_info *t, const char *word, const char *value, struct err *e)
{
	bool set = false;

	if (!known_field(t, word, &set))
		return err_set(e, EINVAL, "'%.40s' is not known", word);
	return set ? err_set(e, EINVAL, "'%.40s' stands twice", word) : tpl_field_set(t, word, value, e);
}

/* The first line, and what remains of the text; the last line must be "end". */
static int opened(struct rd *r, const char *form, struct err *e)
{
	struct rd line;

	if (rd_left(r) > TPL_TEXT_MAX)
		return err_set(e, EFBIG, "the text is too long");
	if (!rd_line(r, &line) || !rd_eq(&line, form))
		return err_set(e, EBADMSG, "it does not begin with '%s'; another version of this system may know it", form);
	return 0;
}

static int get_manifest_line(struct tpl_manifest *m, char *word, char *value, struct err *e)
{
	if (streq(word, "feature"))
		return get_pair(m, false, value, e);
	if (streq(word, "property"))
		return get_pair(m, true, value, e);
	if (streq(word, "size")) {
		if (m->size || str_u64(value, TPL_IMAGE_MAX, &m->size) < 0 || m->size == 0 || m->size % 512)
			return err_set(e, EINVAL, "the size of the image is not acceptable");
		return 0;
	}
	/* Parts come behind the size, so that each can be judged by it. */
	return streq(word, "part") ? get_part(m, value, e) : get_field(&m->info, word, value, e);
}

int tpl_manifest_get(struct rd r, struct tpl_manifest *ret, struct err *e)
{
	char text[LINE_MAX_], *value;
	unsigned no = 1;
	struct rd line;
	int res;

	*ret = (struct tpl_manifest){ .n_parts = 0 };
	res = opened(&r, MANIFEST_FORM, e);
	while (res == 0) {
		no++;
		if (!rd_line(&r, &line))
			return err_set(e, EBADMSG, "the manifest is cut off");
		if (rd_eq(&line, "end"))
			break;
		res = cut(line, text, &value) ? get_manifest_line(ret, text, value, e) : err_set(e, EBADMSG, "no word and value");
		if (res < 0)
			return err_add(e, res, "manifest, line %u", no);
	}
	if (res == 0 && (!rd_done(&r) || !ret->size))
		res = err_set(e, EBADMSG, ret->size ? "something stands behind the manifest" : "the manifest names no size");
	return res < 0 ? res : tpl_info_check(&ret->info, e);
}

static void put_fields(struct wr *w, const struct tpl_info *t, const char *but)
{
	const char *word, *value;

	for (size_t i = 0; (value = tpl_field(t, i, &word, NULL)); i++)
		if (value[0] && !(but && streq(but, word)))
			wr_printf(w, "%s %s\n", word, value);
}

void tpl_manifest_put(struct wr *w, const struct tpl_manifest *m)
{
	char sha[TPL_SHA_HEX];

	wr_str(w, MANIFEST_FORM "\n");
	put_fields(w, &m->info, NULL);
	for (size_t i = 0; i < m->n_features; i++)
		wr_printf(w, "feature %s %s\n", m->features[i].key, m->features[i].value);
	for (size_t i = 0; i < m->n_properties; i++)
		wr_printf(w, "property %s %s\n", m->properties[i].key, m->properties[i].value);
	wr_printf(w, "size %llu\n", (unsigned long long)m->size);
	for (size_t i = 0; i < m->n_parts; i++) {
		hex_put(sha, m->parts[i].sha, TPL_SHA_LEN);
		wr_printf(w, "part %llu %u %u %s\n", (unsigned long long)m->parts[i].off, m->parts[i].raw, m->parts[i].packed, sha);
	}
	wr_str(w, "end\n");
}

uint64_t tpl_manifest_packed(const struct tpl_manifest *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n_parts; i++)
		n += m->parts[i].packed;
	return n;
}

static void kv_free(struct tpl_kv *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].key);
		free(v[i].value);
	}
}

void tpl_manifest_fini(struct tpl_manifest *m)
{
	kv_free(m->features, m->n_features);
	kv_free(m->properties, m->n_properties);
	free(m->parts);
	*m = (struct tpl_manifest){ .n_parts = 0 };
}

static int number(const char *s, uint64_t max, bool zero, uint64_t *at, struct err *e)
{
	if (*at || str_u64(s, max, at) < 0 || (!zero && *at == 0))
		return err_set(e, EINVAL, "a number is not acceptable, or stands twice");
	return 0;
}

/* The lines before the first template. */
static int get_index_head(struct tpl_index *x, const char *word, const char *value, struct err *e)
{
	if (streq(word, "repository")) {
		if (x->repository[0] || !tpl_repo_ok(value))
			return err_set(e, EINVAL, "the repository's name is not acceptable");
		return str_copy(x->repository, sizeof x->repository, value);
	}
	if (streq(word, "number"))
		return number(value, INT64_MAX, false, &x->number, e);
	if (streq(word, "created"))
		return number(value, UINT64_C(1) << 40, false, &x->created, e);
	if (streq(word, "expires"))
		return number(value, UINT64_C(1) << 40, false, &x->expires, e);
	return err_set(e, EINVAL, "'%.40s' is not known", word);
}

static int get_entry(struct tpl_entry *t, const char *word, const char *value, struct err *e)
{
	static const uint8_t none[TPL_SHA_LEN];

	if (streq(word, "file")) {
		if (t->file[0] || !tpl_file_ok(value))
			return err_set(e, EINVAL, "the file's name is not acceptable");
		return str_copy(t->file, sizeof t->file, value);
	}
	if (streq(word, "bytes"))
		return number(value, TPL_IMAGE_MAX, false, &t->bytes, e);
	if (streq(word, "size"))
		return number(value, TPL_IMAGE_MAX, false, &t->size, e);
	if (streq(word, "manifest"))
		return memcmp(t->sha, none, sizeof none) == 0 && hex_get(value, t->sha, sizeof t->sha) ? 0 : err_set(e, EINVAL, "the manifest's sum is not acceptable");
	return get_field(&t->info, word, value, e);
}

static int entry_whole(const struct tpl_entry *t, struct err *e)
{
	int r = tpl_info_check(&t->info, e);

	if (r == 0 && (!t->file[0] || !t->bytes || !t->size))
		r = err_set(e, EINVAL, "template '%s': file, bytes or size is missing", t->info.name);
	return r;
}

static int get_index_line(struct tpl_index *x, const char *word, const char *value, struct err *e)
{
	struct tpl_entry *last = x->n ? &x->v[x->n - 1] : NULL;
	int r = 0;

	if (!streq(word, "template"))
		return last ? get_entry(last, word, value, e) : get_index_head(x, word, value, e);
	if (last)
		r = entry_whole(last, e);
	if (r == 0 && x->n == TPL_ENTRIES_MAX)
		r = err_set(e, E2BIG, "more than %u templates", TPL_ENTRIES_MAX);
	if (r < 0)
		return r;
	if ((x->n & (x->n - 1)) == 0)
		x->v = xreallocarray(x->v, x->n ? x->n * 2 : 1, sizeof *x->v);
	x->v[x->n] = (struct tpl_entry){ .bytes = 0 };
	return tpl_field_set(&x->v[x->n++].info, "name", value, e);
}

int tpl_index_get(struct rd r, struct tpl_index *ret, struct err *e)
{
	char text[LINE_MAX_], *value;
	unsigned no = 1;
	struct rd line;
	int res;

	*ret = (struct tpl_index){ .n = 0 };
	res = opened(&r, INDEX_FORM, e);
	while (res == 0) {
		no++;
		if (!rd_line(&r, &line))
			return err_set(e, EBADMSG, "the index is cut off");
		if (rd_eq(&line, "end"))
			break;
		res = cut(line, text, &value) ? get_index_line(ret, text, value, e) : err_set(e, EBADMSG, "no word and value");
		if (res < 0)
			return err_add(e, res, "index, line %u", no);
	}
	if (res == 0 && ret->n)
		res = entry_whole(&ret->v[ret->n - 1], e);
	if (res == 0 && (!ret->repository[0] || !ret->number || !ret->created || ret->expires <= ret->created))
		res = err_set(e, EBADMSG, "repository, number, created or expires is missing or wrong");
	if (res == 0 && !rd_done(&r))
		res = err_set(e, EBADMSG, "something stands behind the index");
	return res;
}

void tpl_index_put(struct wr *w, const struct tpl_index *x)
{
	char sha[TPL_SHA_HEX];

	wr_printf(w, INDEX_FORM "\nrepository %s\nnumber %llu\ncreated %llu\nexpires %llu\n", x->repository, (unsigned long long)x->number,
		  (unsigned long long)x->created, (unsigned long long)x->expires);
	for (size_t i = 0; i < x->n; i++) {
		const struct tpl_entry *t = &x->v[i];

		hex_put(sha, t->sha, TPL_SHA_LEN);
		wr_printf(w, "template %s\n", t->info.name);
		put_fields(w, &t->info, "name");
		wr_printf(w, "file %s\nbytes %llu\nsize %llu\nmanifest %s\n", t->file, (unsigned long long)t->bytes, (unsigned long long)t->size, sha);
	}
	wr_str(w, "end\n");
}

void tpl_index_fini(struct tpl_index *x)
{
	free(x->v);
	*x = (struct tpl_index){ .n = 0 };
}
