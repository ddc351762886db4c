/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The microphone: which running qubes have it. A switch, nothing more: who carries it out listens to the events (bulkhead-desktop, docs/audio.md). It belongs
 * to one run of the qube and to one run of the core: after a restart of either it is off.
 */
#include "base/str.h"
#include "core/device.h"

bool device_mic_attached(const struct qube *q)
{
	return q->mic && !qube_halted(q) && streq(q->mic_start, q->start_id);
}

void device_mic_attach(struct core *c, struct qube *q)
{
	event(c, q, "device-pre-attach:mic", "device", DEV_MIC_NAME, "options", "{}", NULL);
	q->mic = true;
	memcpy(q->mic_start, q->start_id, sizeof q->mic_start);
	event(c, q, "device-attach:mic", "device", DEV_MIC_NAME, "options", "{}", NULL);
}

void device_mic_detach(struct core *c, struct qube *q)
{
	event(c, q, "device-pre-detach:mic", "port", "dom0:mic", NULL);
	q->mic = false;
	event(c, q, "device-detach:mic", "port", "dom0:mic", NULL);
}

int device_mic_check(const struct core *c, const struct qube *q, struct err *e)
{
	const struct qube *audio = prop_vm(c, q, P_audiovm);

	if (device_mic_attached(q))
		return err_set(e, AE_DEVICE_ATTACHED, "the microphone is attached to '%s' already", q->name.s);
	if (!audio || audio->klass != K_ADMIN)
		return err_set(e, AE_VALUE, "'%s' has its sound from %s, not from dom0, which has the microphone; see its property audiovm", q->name.s,
			       audio ? audio->name.s : "nowhere");
	return 0;
}

void device_mic_start(struct core *c, struct qube *q)
{
	static const struct dev_name mic = { "dom0", "mic", DEV_MIC_ID };
	struct dev_assignment a;
	bool wanted = false;

	for (size_t i = 0; device_next(q, DEV_MIC, &i, &a);)
		wanted |= a.mode != DEV_ASK && dev_name_matches(&a.dev, &mic);
	if (wanted && device_mic_check(c, q, NULL) == 0)
		device_mic_attach(c, q);
}
