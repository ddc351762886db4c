/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the Admin API says about one qube: has it a GUI for this session, and what is guid told. Calls are short and block. */
#include "base/log.h"
#include "base/str.h"
#include "gui/desktop/desktop.h"

#define FEATURES_MAX 64

/* The features that begin with a prefix, with their values. */
struct features {
	size_t n;
	struct {
		char *name, *value;
	} v[FEATURES_MAX];
};

static void features_fini(struct features *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].name);
		free(f->v[i].value);
	}
	f->n = 0;
}

static int features_get(struct features *f, const char *qube, const char *prefix, struct err *e)
{
	_cleanup_reply_ struct adm_reply list = { 0 };
	char *text, *name;
	int r = adm_text(&list, qube, "admin.vm.feature.List", NULL, NULL, e);

	if (r < 0)
		return r;
	text = list.data;
	while ((name = adm_line(&text)) && f->n < FEATURES_MAX) {
		_cleanup_reply_ struct adm_reply rep = { 0 };

		/* One that has gone since is not set. */
		if (!str_starts(name, prefix) || adm_text(&rep, qube, "admin.vm.feature.Get", name, NULL, NULL) < 0)
			continue;
		f->v[f->n].name = xstrdup(name);
		f->v[f->n++].value = STEAL_PTR(rep.data);
	}
	return 0;
}

/* Is the feature of the qube or its template set to something? */
static bool feature_on(const char *qube, const char *name)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, qube, "admin.vm.feature.CheckWithTemplate", name, NULL, NULL) == 0 && rep.len > 0;
}

struct both {
	const struct dqube *q;
	struct features own, defaults;
};

static const char *find(const struct features *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (streq(f->v[i].name, name))
			return f->v[i].value;
	return NULL;
}

static const char *own(const char *name, void *arg)
{
	return find(&((struct both *)arg)->own, name);
}

static const char *defaults(const char *name, void *arg)
{
	return find(&((struct both *)arg)->defaults, name);
}

static void warn(const char *text, void *arg)
{
	log_warn("%s: its value as a feature is not used: %s", ((struct both *)arg)->q->name, text);
}

static int label_of(const char *label, struct guid_facts *f, struct err *e)
{
	_cleanup_reply_ struct adm_reply colour = { 0 }, number = { 0 };
	uint64_t v;
	int r = adm_text(&colour, "dom0", "admin.label.Get", label, NULL, e);

	if (r == 0)
		r = adm_text(&number, "dom0", "admin.label.Index", label, NULL, e);
	if (r < 0)
		return r;
	if (str_copy(f->colour, sizeof f->colour, colour.data) < 0 || str_u64(number.data, UINT32_MAX, &v) < 0)
		return err_set(e, ADM_BAD_ANSWER, "the label '%s' is malformed", label);
	f->label_index = (uint32_t)v;
	return 0;
}

static int props_of(struct dqube *q, struct guid_facts *f, struct err *e)
{
	struct adm_props props = { .n = 0 };
	const struct adm_prop *guivm, *xid, *label, *icon;
	uint64_t v;
	int r = adm_props_get(&props, q->name, false, e);

	if (r < 0)
		return r;
	guivm = adm_props_find(&props, "guivm");
	xid = adm_props_find(&props, "xid");
	label = adm_props_find(&props, "label");
	icon = adm_props_find(&props, "icon");
	if (!guivm || !streq(guivm->value, "dom0"))
		r = 0;
	else if (!xid || !label || str_u64(xid->value, 0xffff, &v) < 0 || v == 0)
		r = err_set(e, EAGAIN, "it does not run");
	else
		r = 1;
	if (r == 1) {
		f->qid = (uint32_t)v;
		(void)!str_copy(f->name, sizeof f->name, q->name);
		(void)!str_copy(f->icon, sizeof f->icon, icon ? icon->value : "");
		r = label_of(label->value, f, e);
		r = r < 0 ? r : 1;
	}
	adm_props_fini(&props);
	return r;
}

int facts_get(struct dqube *q, struct guid_facts *ret, struct guid_args *args, struct err *e)
{
	_cleanup_free_ struct both *b = xcalloc(1, sizeof *b);
	int r;

	memset(ret, 0, sizeof *ret);
	memset(args, 0, sizeof *args);
	if (!feature_on(q->name, "gui"))
		return 0;
	r = props_of(q, ret, e);
	if (r != 1)
		return r;
	b->q = q;
	r = features_get(&b->own, q->name, "gui-", e);
	if (r == 0)
		r = features_get(&b->defaults, "dom0", "gui-default-", e);
	if (r == 0)
		guid_args_build(args, ret, own, defaults, b, warn);
	features_fini(&b->own);
	features_fini(&b->defaults);
	return r < 0 ? r : 1;
}

/* --- sound ----------------------------------------------------------------------------------------------------------- */

/* Gives whether it is set; its value, cut to cap, through out. */
static bool feature_text(const char *qube, const char *name, char *out, size_t cap)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	out[0] = '\0';
	if (adm_text(&rep, qube, "admin.vm.feature.CheckWithTemplate", name, NULL, NULL) < 0)
		return false;
	(void)!str_copy(out, cap, rep.data);
	return true;
}

static int audio_set_of(const struct dqube *q, struct audio_set *set, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char text[16];
	uint64_t v;
	int r = adm_text(&rep, q->name, "admin.vm.device.mic.Attached", NULL, NULL, e);

	if (r < 0)
		return r;
	*set = (struct audio_set){ .volume = AUDIO_KEEP, .flags = rep.len ? AUDIO_F_MIC : 0 };
	if (feature_text(q->name, "audio-mute", text, sizeof text))
		set->flags |= text[0] ? AUDIO_F_MUTE : AUDIO_F_LOUD;
	if (!feature_text(q->name, "audio-volume", text, sizeof text) || !text[0])
		return 0;
	if (str_u64(text, AUDIO_VOLUME_MAX, &v) == 0)
		set->volume = (uint32_t)v;
	else
		log_warn("%s: the feature audio-volume is not used: a number from 0 to %u is needed", q->name, AUDIO_VOLUME_MAX);
	return 0;
}

int facts_audio(const struct dqube *q, struct audio_facts *ret, struct err *e)
{
	struct adm_props props = { .n = 0 };
	const struct adm_prop *audiovm, *xid, *icon;
	char text[16];
	uint64_t v;
	int r;

	memset(ret, 0, sizeof *ret);
	/* Without a word about it: where there are programs with windows there are programs with sound. */
	if (feature_text(q->name, "audio", text, sizeof text) ? !text[0] : !feature_on(q->name, "gui"))
		return 0;
	r = adm_props_get(&props, q->name, false, e);
	if (r < 0)
		return r;
	audiovm = adm_props_find(&props, "audiovm");
	xid = adm_props_find(&props, "xid");
	icon = adm_props_find(&props, "icon");
	if (!audiovm || !streq(audiovm->value, "dom0"))
		r = 0;
	else if (!xid || str_u64(xid->value, 0xffff, &v) < 0 || v == 0)
		r = err_set(e, EAGAIN, "it does not run");
	else
		r = 1;
	if (r == 1) {
		ret->qid = (uint32_t)v;
		(void)!str_copy(ret->icon, sizeof ret->icon, icon ? icon->value : "");
		r = audio_set_of(q, &ret->set, e);
		r = r < 0 ? r : 1;
	}
	adm_props_fini(&props);
	return r;
}

bool facts_layout(const struct dqube *q)
{
	return feature_on(q->name, "supported-rpc.qubes.SetMonitorLayout") && !feature_on(q->name, "no-monitor-layout");
}
