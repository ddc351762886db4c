/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From XML events to JSON: see qubesxml.h. Where an element belongs is decided by its name and that of its parent. */
#include "store/qubesxml.h"

#include <expat.h>
#include <jansson.h>

#include "base/str.h"

#define NAME_CAP 32

struct reader {
	XML_Parser p;
	json_t *top;
	json_t *domain; /* the one that is open, borrowed; NULL outside */
	json_t *device, *rule; /* the same */
	char path[QUBESXML_DEPTH][NAME_CAP];
	char key[256];	      /* name= of the open element that holds a text */
	char devclass[NAME_CAP];
	json_t *label;
	unsigned depth, elements;
	struct wr text;
	int failed;
	struct err *e;
};

static void fail(struct reader *x, int code, const char *text)
{
	if (!x->failed)
		x->failed = err_set(x->e, code, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(x->p), text);
	XML_StopParser(x->p, XML_FALSE);
}

static const char *attr(const char **atts, const char *name)
{
	for (; atts[0]; atts += 2)
		if (streq(atts[0], name))
			return atts[1];
	return NULL;
}

/* The name of the element `up` levels above the open one. */
static const char *above(const struct reader *x, unsigned up)
{
	return x->depth > up ? x->path[x->depth - 1 - up] : "";
}

static json_t *attributes(const char **atts)
{
	json_t *o = json_object();

	for (; atts[0]; atts += 2)
		(void)json_object_set_new(o, atts[0], json_string(atts[1]));
	return o;
}

static json_t *append(json_t *to, const char *list, json_t *o)
{
	/* A list that this kind of file has not: the value is gone. */
	return json_array_append_new(json_object_get(to, list), o) < 0 ? NULL : o;
}

static void root(struct reader *x, const char *name, const char **atts)
{
	const char *version = attr(atts, "version");

	if (streq(name, "qubes"))
		x->top = json_pack("{s:s,s:[],s:[],s:{},s:[]}", "kind", "qubes", "labels", "pools", "properties", "domains");
	else if (streq(name, "firewall"))
		x->top = json_pack("{s:s,s:s,s:[]}", "kind", "firewall", "version", version ? version : "1", "rules");
	else
		fail(x, EINVAL, "this is neither a qubes.xml nor a firewall.xml");
}

static void open_domain(struct reader *x, const char **atts)
{
	const char *id = attr(atts, "id"), *cls = attr(atts, "class");

	x->domain = append(x->top, "domains", json_pack("{s:s,s:s,s:{},s:{},s:[],s:[],s:[]}", "id", id ? id : "", "class", cls ? cls : "", "properties", "features",
							 "tags", "devices", "volumes"));
}

static void in_domain(struct reader *x, const char *name, const char **atts)
{
	const char *cls = attr(atts, "class"), *tag = attr(atts, "name");

	if (streq(name, "devices")) {
		if (str_copy(x->devclass, sizeof x->devclass, cls ? cls : "") < 0)
			x->devclass[0] = '\0';
	} else if (streq(name, "device") && streq(above(x, 1), "devices")) {
		x->device = append(x->domain, "devices", attributes(atts));
		(void)json_object_set_new(x->device, "class", json_string(x->devclass));
		(void)json_object_set_new(x->device, "options", json_object());
	} else if (streq(name, "tag") && tag) {
		(void)append(x->domain, "tags", json_string(tag));
	} else if (streq(name, "volume") && streq(above(x, 1), "volume-config")) {
		(void)append(x->domain, "volumes", attributes(atts));
	}
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **atts)
{
	struct reader *x = arg;
	const char *key = attr(atts, "name");

	if (x->failed) /* the parser may still have something to tell after it was stopped */
		return;
	if (x->depth == QUBESXML_DEPTH || ++x->elements > QUBESXML_ELEMENTS) {
		fail(x, EFBIG, x->depth == QUBESXML_DEPTH ? "elements are nested too deep" : "too many elements");
		return;
	}
	if (str_copy(x->path[x->depth], NAME_CAP, name) < 0) {
		fail(x, EINVAL, "the name of an element is too long");
		return;
	}
	x->depth++;
	wr_reset(&x->text);
	if (str_copy(x->key, sizeof x->key, key ? key : "") < 0)
		x->key[0] = '\0';
	if (x->depth == 1)
		root(x, name, atts);
	else if (streq(name, "domain") && streq(above(x, 1), "domains"))
		open_domain(x, atts);
	else if (streq(name, "label") && streq(above(x, 1), "labels"))
		x->label = append(x->top, "labels", attributes(atts));
	else if (streq(name, "pool") && streq(above(x, 1), "pools"))
		(void)append(x->top, "pools", attributes(atts));
	else if (streq(name, "rule") && streq(above(x, 1), "rules"))
		x->rule = append(x->top, "rules", json_object());
	else if (x->domain)
		in_domain(x, name, atts);
}

static void put(struct reader *x, json_t *to, const char *key)
{
	wr_u8(&x->text, 0);
	if (!wr_ok(&x->text))
		fail(x, EFBIG, "a value is too long");
	else if (to && *key)
		(void)json_object_set_new(to, key, json_string((const char *)x->text.buf));
	wr_reset(&x->text);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reader *x = arg;

	if (x->failed)
		return;
	if (streq(name, "property") && streq(above(x, 1), "properties"))
		put(x, x->rule ? x->rule : json_object_get(x->domain ? x->domain : x->top, "properties"), x->key);
	else if (streq(name, "feature") && x->domain)
		put(x, json_object_get(x->domain, "features"), x->key);
	else if (streq(name, "option") && x->device)
		put(x, json_object_get(x->device, "options"), x->key);
	else if (streq(name, "label") && x->label)
		put(x, x->label, "name");
	else if (streq(name, "device"))
		x->device = NULL;
	else if (streq(name, "rule"))
		x->rule = NULL;
	else if (streq(name, "domain") && x->depth == 3)
		x->domain = NULL;
	if (streq(name, "label"))
		x->label = NULL;
	x->key[0] = '\0';
	x->depth--;
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int n)
{
	struct reader *x = arg;

	if (x->text.len + (size_t)n >= QUBESXML_VALUE)
		fail(x, EFBIG, "a value is too long");
	else
		wr_bytes(&x->text, s, (size_t)n);
}

/* No file of the reference has a document type; with it go all entities but the five of XML. */
static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
	fail(arg, EINVAL, "a document type or entities are not allowed");
}

static int to_writer(const char *p, size_t n, void *w)
{
	wr_bytes(w, p, n);
	return 0;
}

static int parse(struct reader *x, struct rd r)
{
	enum XML_Status k = XML_Parse(x->p, (const char *)r.p, (int)rd_left(&r), 1);

	if (x->failed)
		return x->failed;
	if (k != XML_STATUS_OK)
		return err_set(x->e, EINVAL, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(x->p), XML_ErrorString(XML_GetErrorCode(x->p)));
	return x->top ? 0 : err_set(x->e, EINVAL, "the file is empty");
}

int qubesxml_json(struct wr *w, struct rd r, struct err *e)
{
	struct reader x = { .e = e, .text = wr_grow(QUBESXML_VALUE + 1) };
	int k;

	if (rd_left(&r) > QUBESXML_MAX)
		return err_set(e, EFBIG, "the file is too large");
	x.p = XML_ParserCreate("UTF-8");
	if (!x.p)
		return err_set(e, ENOMEM, "out of memory");
	XML_SetUserData(x.p, &x);
	XML_SetElementHandler(x.p, on_start, on_end);
	XML_SetCharacterDataHandler(x.p, on_text);
	XML_SetStartDoctypeDeclHandler(x.p, on_doctype);
	k = parse(&x, r);
	if (k == 0) {
		(void)json_dump_callback(x.top, to_writer, w, JSON_COMPACT);
		k = wr_ok(w) ? 0 : err_set(e, EFBIG, "the file is too large");
	}
	json_decref(x.top);
	wr_free(&x.text);
	XML_ParserFree(x.p);
	return k;
}
