/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-audio: qvm-device for the microphone, and how loud qubes are. */
#include "proto/audio.h"
#include "tool/devices.h"

#define F_VOLUME "audio-volume"
#define F_MUTE "audio-mute"

static const struct tool_sub subs[] = {
	{ "status", "[--json] [QUBE...]", "show volume, mute and microphone of running qubes, or of these" },
	{ "volume", "QUBE [PERCENT|default]", "show or set how loud a qube is; default: what the desktop's mixer says" },
	{ "mute", "QUBE...", "nothing of these qubes is heard" },
	{ "unmute", "QUBE...", "undo that" },
	DEVICES_SUBS,
	{ 0 },
};

static const char desc[] = "A running qube hears the microphone when it was attached: attach QUBE dom0:mic.\n"
			   "Volumes go from 0 to 150 percent; they are kept, and count for running qubes at\n"
			   "once.\n" DEVICES_DESC;

struct level {
	bool set; /* a volume was set */
	uint64_t volume;
	bool mute, mic;
	char word[24];
};

/* 1 and the value through out, 0 when it is not set, negative. */
static int feature(const char *qube, const char *name, char *out, size_t cap, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int r = adm_text(&rep, qube, "admin.vm.feature.CheckWithTemplate", name, NULL, e);

	if (r < 0)
		return r == -ADM_EXC_NO_FEATURE ? 0 : r;
	return str_copy(out, cap, rep.data) == 0 && out[0] ? 1 : 0;
}

static int level_get(const char *qube, struct level *l, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char text[24];
	int r = feature(qube, F_VOLUME, text, sizeof text, e);

	*l = (struct level){ .word = "default" };
	/* Another value is no volume, and nobody follows it. */
	if (r == 1 && str_u64(text, AUDIO_VOLUME_MAX, &l->volume) == 0) {
		l->set = true;
		r = str_printf(l->word, sizeof l->word, "%u%%", (unsigned)l->volume);
	}
	if (r >= 0)
		r = feature(qube, F_MUTE, text, sizeof text, e);
	if (r < 0)
		return r;
	l->mute = r;
	r = adm_text(&rep, qube, "admin.vm.device.mic.Attached", NULL, NULL, e);
	l->mic = r == 0 && rep.len;
	return r;
}

static int status(struct tool *t, int argc, char **argv)
{
	_cleanup_(table_freep) struct table *tb = table_new(4);
	_cleanup_free_ bool *picked = NULL;
	struct adm_qubes all = { .n = 0 };
	struct json j = { 0 };
	struct err e = { 0 };
	int r = argc ? tool_qubes(t, argc, argv, &all, &picked) : 0;

	if (!argc && (r = adm_qubes_get(&all, "dom0", &e)) < 0)
		r = tool_api(t, r, &e);
	for (const char *const *h = (const char *const[]){ "QUBE", "VOLUME", "MUTED", "MICROPHONE", NULL }; *h; h++)
		table_add(tb, *h);
	if (r == 0 && opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < all.n && r == 0; i++) {
		const struct adm_qube *q = &all.v[i];
		struct level l;

		if (streq(q->name, "dom0") || (picked ? !picked[i] : streq(q->state, "Halted")))
			continue;
		r = level_get(q->name, &l, &e);
		if (r < 0) {
			r = tool_api(t, r, &e);
			break;
		}
		table_add(tb, q->name);
		table_add(tb, l.word);
		table_add(tb, l.mute ? "yes" : "no");
		table_add(tb, l.mic ? "attached" : "no");
		if (!opt_has(t, KEY_JSON))
			continue;
		json_open(&j, NULL, '{');
		json_str(&j, "qube", q->name);
		if (l.set)
			json_int(&j, "volume", (int64_t)l.volume);
		else
			json_str(&j, "volume", NULL);
		json_bool(&j, "muted", l.mute);
		json_bool(&j, "microphone", l.mic);
		json_close(&j, '}');
	}
	if (r == 0 && opt_has(t, KEY_JSON))
		json_close(&j, ']');
	else if (r == 0)
		table_print(tb, t, true);
	adm_qubes_fini(&all);
	return r;
}

static int change(struct tool *t, const char *qube, const char *name, const char *value)
{
	struct err e = { 0 };
	int r = tool_qube(t, qube);

	if (r != 0)
		return r;
	r = adm_void(qube, value ? "admin.vm.feature.Set" : "admin.vm.feature.Remove", name, value, &e);
	return r < 0 && (value || r != -ADM_EXC_NO_FEATURE) ? tool_api(t, r, &e) : 0;
}

static int volume(struct tool *t, int argc, char **argv)
{
	struct level l;
	struct err e = { 0 };
	char text[16];
	uint64_t v;
	int r;

	if (argc < 1 || argc > 2)
		return tool_usage(t, "volume takes a qube and, to set it, a number from 0 to %u or default", AUDIO_VOLUME_MAX);
	if (argc == 1) {
		r = tool_qube(t, argv[0]);
		if (r != 0)
			return r;
		r = level_get(argv[0], &l, &e);
		if (r < 0)
			return tool_api(t, r, &e);
		puts(l.word);
		return 0;
	}
	if (streq(argv[1], "default"))
		return change(t, argv[0], F_VOLUME, NULL);
	if (str_copy(text, sizeof text, argv[1]) < 0)
		text[0] = '\0';
	if (text[0] && text[strlen(text) - 1] == '%')
		text[strlen(text) - 1] = '\0';
	if (str_u64(text, AUDIO_VOLUME_MAX, &v) < 0)
		return tool_usage(t, "'%s' is no volume: a number from 0 to %u, or default", argv[1], AUDIO_VOLUME_MAX);
	return change(t, argv[0], F_VOLUME, text);
}

static int mute(struct tool *t, bool on, int argc, char **argv)
{
	int r = argc > 0 ? 0 : tool_usage(t, "%s needs a qube", on ? "mute" : "unmute");

	for (int i = 0; i < argc && r == 0; i++)
		r = change(t, argv[i], F_MUTE, on ? "1" : "");
	return r;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *act = argc > 0 ? argv[0] : "";

	if (streq(act, "status"))
		return status(t, argc - 1, argv + 1);
	if (streq(act, "volume"))
		return volume(t, argc - 1, argv + 1);
	if (streq(act, "mute") || streq(act, "unmute"))
		return mute(t, act[0] == 'm', argc - 1, argv + 1);
	return devices_run(t, DEV_MIC, argc, argv);
}

const struct verb verb_qvm_audio = {
	.name = "qvm-audio",
	.summary = "volume of qubes; give the microphone to a qube and take it back",
	.args = "[ACTION] [ARGUMENT...]",
	.desc = desc,
	.opts = devices_opts,
	.subs = subs,
	.words = { W_SUB, W_QUBE },
	.run = run,
};
