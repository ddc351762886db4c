/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts for the X server of a qube. */
#include "agent/gui/run.h"

#include "base/str.h"

#define OUTPUTS 16
#define FAMILY_WILD 65535
#define VIDEO_KIB 524288 /* what all monitors together may have; not used, not taken */

/* No device is looked for and no console is taken, so the server needs no rights. The sizes in the lines of the monitor are bounds of its checks. */
void run_config(struct wr *w)
{
	wr_str(w, "Section \"ServerFlags\"\n\tOption \"AutoAddDevices\" \"false\"\n\tOption \"AutoEnableDevices\" \"false\"\n"
		  "\tOption \"AutoAddGPU\" \"false\"\n\tOption \"AutoBindGPU\" \"false\"\n\tOption \"DontVTSwitch\" \"true\"\n\tOption \"DontZap\" \"true\"\n"
		  "\tOption \"BlankTime\" \"0\"\n\tOption \"StandbyTime\" \"0\"\n\tOption \"SuspendTime\" \"0\"\n\tOption \"OffTime\" \"0\"\n"
		  "\tOption \"AllowMouseOpenFail\" \"true\"\n\tOption \"PciForceNone\" \"true\"\n\tOption \"AutoEnable\" \"false\"\nEndSection\n");
	wr_str(w, "Section \"Extensions\"\n\tOption \"DPMS\" \"Disable\"\nEndSection\n");
	for (unsigned i = 0; i < OUTPUTS; i++)
		wr_printf(w, "Section \"Monitor\"\n\tIdentifier \"DUMMY%u\"\n\tHorizSync 1.0-2000.0\n\tVertRefresh 1.0-1000.0\n%sEndSection\n", i,
			  i ? "\tOption \"Enable\" \"false\"\n" : "\tModeline \"QB1920x1200\" 138.46 1920 1920 1921 1921 1200 1200 1201 1201\n");
	wr_printf(w, "Section \"Device\"\n\tIdentifier \"dummy\"\n\tDriver \"dummy\"\n\tVideoRam %u\n", VIDEO_KIB);
	for (unsigned i = 0; i < OUTPUTS; i++)
		wr_printf(w, "\tOption \"Monitor-DUMMY%u\" \"DUMMY%u\"\n", i, i);
	wr_str(w, "EndSection\nSection \"Screen\"\n\tIdentifier \"screen\"\n\tDevice \"dummy\"\n\tMonitor \"DUMMY0\"\n\tDefaultDepth 24\n"
		  "\tSubSection \"Display\"\n\t\tDepth 24\n\t\tModes \"QB1920x1200\"\n\t\tVirtual 1920 1200\n\tEndSubSection\nEndSection\n"
		  "Section \"ServerLayout\"\n\tIdentifier \"layout\"\n\tScreen \"screen\"\nEndSection\n");
}

static void counted(struct wr *w, const void *p, size_t n)
{
	wr_u8(w, (uint8_t)(n >> 8));
	wr_u8(w, (uint8_t)n);
	wr_bytes(w, p, n);
}

/* One entry for every host name, since a clone has another one than the machine that was saved. */
void run_auth(struct wr *w, const uint8_t cookie[16])
{
	static const char name[] = "MIT-MAGIC-COOKIE-1";

	wr_u8(w, FAMILY_WILD >> 8);
	wr_u8(w, FAMILY_WILD & 0xff);
	counted(w, "", 0);
	counted(w, RUN_DISPLAY + 1, strlen(RUN_DISPLAY) - 1);
	counted(w, name, sizeof name - 1);
	counted(w, cookie, 16);
}

static bool word_ok(const char *s)
{
	return *s != '-' && str_chars(s, "_,:()-.");
}

int run_keyboard(char *text, const char *argv[RUN_KEYBOARD_ARGS])
{
	char *variant = strchr(text, '+'), *options = variant ? strchr(variant + 1, '+') : NULL;
	size_t n = 0;

	if (variant)
		*variant++ = 0;
	if (options)
		*options++ = 0;
	if (!*text || !word_ok(text) || (variant && !word_ok(variant)) || (options && !word_ok(options)))
		return -EINVAL;
	argv[n++] = "setxkbmap";
	/* numbers of keys as the host's server has them: one without devices would take those of old keyboards, where the arrows are elsewhere */
	argv[n++] = "-rules";
	argv[n++] = "evdev";
	argv[n++] = "-model";
	argv[n++] = "pc105";
	argv[n++] = "-layout";
	argv[n++] = text;
	argv[n++] = "-variant";
	argv[n++] = variant ? variant : "";
	/* first none, so that those of the layout before are gone */
	argv[n++] = "-option";
	argv[n++] = "";
	if (options && *options) {
		argv[n++] = "-option";
		argv[n++] = options;
	}
	argv[n] = NULL;
	return 0;
}
