/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every decoder of proto/qrexec.h over one stream of messages, as a control channel would bring it. */
#include "proto/qrexec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void one(const struct qx_frame *f)
{
	static char service[QX_SERVICE_CAP + 1];
	struct qx_trigger t;
	struct qx_connect c;
	struct qx_exec x;
	uint32_t a, b;

	if (qx_get_trigger(&t, service, f->type, f->body) == 0) {
		/* cleaned: nothing but the allowed characters, one '+' at least, the stated length */
		if (strlen(service) != t.service_len || !strchr(service, '+') || strpbrk(service, "/ $`;@:\n"))
			abort();
		if (strpbrk(t.target, "/ $`;+\n") || strpbrk(t.source, "/ $`;+\n"))
			abort();
		sink += t.service_len;
	}
	if (qx_get_exec(&x, f->body) == 0 && x.command) {
		struct qx_command cmd;

		if (strlen(x.command) != x.command_len)
			abort();
		if (qx_command_parse(&cmd, x.command, x.command_len, NULL) == 0) {
			sink += strlen(cmd.user) + strlen(cmd.text);
			if (cmd.rpc)
				sink += strlen(cmd.name) + strlen(cmd.source) + strlen(cmd.target);
			qx_command_fini(&cmd);
		}
	}
	if (qx_get_connect(&c, f->body) == 0)
		sink += c.port;
	if (qx_get_params(f->body, &a, &b) == 0 || qx_get_hello(f->body, &a) == 0)
		sink += a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qx_frame f;

	while (qx_frame(&f, data, size, QX_CONTROL_MSG_MAX) == 1) {
		one(&f);
		data += f.size;
		size -= f.size;
	}
	return 0;
}
