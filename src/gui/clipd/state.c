/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gui/clipd/clipd.h"

bool clip_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

bool clip_copy_ok(const struct clip *c, uint32_t time)
{
	return !c->any || !clip_after(c->time, time);
}

void clip_wipe(struct clip *c)
{
	if (c->data)
		explicit_bzero(c->data, c->len);
	free(c->data);
	c->data = NULL;
	c->len = 0;
}

void clip_put(struct clip *c, const struct qname *source, uint32_t time, uint8_t *data, size_t len)
{
	clip_wipe(c);
	c->source = *source;
	c->time = time;
	c->any = true;
	if (len == 0) {
		free(data);
		return;
	}
	c->data = data;
	c->len = len;
}

enum clip_refusal clip_paste_ok(const struct clip *c, const struct qname *target, uint32_t time, uint32_t focus_ms)
{
	if (c->any && clip_after(c->time, time))
		return CLIP_OLD;
	if (c->len == 0)
		return CLIP_EMPTY;
	if (qname_eq(&c->source, target->s))
		return CLIP_SAME;
	/* A window that jumped under the user's hands a moment ago is not where the user meant to paste. */
	if (focus_ms < CLIP_FOCUS_MS)
		return CLIP_EARLY;
	return CLIP_OK;
}

const char *clip_refusal_words(enum clip_refusal why)
{
	static const char *const words[CLIP_REFUSALS] = {
		[CLIP_OK] = "",
		[CLIP_EMPTY] = "the clipboard is empty: copy in a qube's window first",
		[CLIP_SAME] = "it was copied in this qube: use its own paste",
		[CLIP_OLD] = "something newer was copied meanwhile",
		[CLIP_EARLY] = "the window got the focus only just now: press the keys once more",
		[CLIP_POLICY] = "the policy does not allow it",
		[CLIP_BUSY] = "a paste into this qube is under way",
	};

	return why < CLIP_REFUSALS ? words[why] : "";
}
