/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal.GetSystemInfo: asking and reading. */
#include "policyfile/sysjson.h"

#include <jansson.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "base/wr.h"

#define ANSWER_MAX (32u << 20)
#define FETCH_MS 5000

static void set_text(char **field, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	pol_set(field, s);
}

static int one(struct pol_sysinfo *si, const char *name, const json_t *o, struct err *e)
{
	const json_t *tags = json_object_get(o, "tags"), *tag;
	struct pol_qube *q;
	size_t i;

	if (!json_is_object(o) || !name[0])
		return err_set(e, EBADMSG, "system info: '%s' is not an object", name);
	q = pol_qube_new(name);
	set_text(&q->klass, o, "type");
	set_text(&q->default_dispvm, o, "default_dispvm");
	set_text(&q->guivm, o, "guivm");
	set_text(&q->relayvm, o, "relayvm");
	set_text(&q->transport_rpc, o, "transport_rpc");
	set_text(&q->power_state, o, "power_state");
	set_text(&q->icon, o, "icon");
	set_text(&q->label, o, "label");
	pol_qube_set_uuid(q, json_string_value(json_object_get(o, "uuid")));
	q->template_for_dispvms = json_is_true(json_object_get(o, "template_for_dispvms"));
	q->internal = json_is_true(json_object_get(o, "internal"));
	json_array_foreach (tags, i, tag)
		if (json_is_string(tag))
			pol_qube_add_tag(q, json_string_value(tag));
	pol_sysinfo_set(si, q);
	return 0;
}

int sysjson_table(struct pol_sysinfo *si, const json_t *root, struct err *e)
{
	json_t *domains = json_object_get(root, "domains");
	const char *name;
	json_t *o;

	if (!json_is_object(domains))
		return err_set(e, EBADMSG, "system info has no domains");
	json_object_foreach (domains, name, o) {
		int r = one(si, name, o, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int exchange(int fd, struct wr *in, struct err *e)
{
	static const char request[] = "internal.GetSystemInfo+ dom0 name dom0"; /* its NUL ends the header */
	uint64_t deadline = now_us() + FETCH_MS * 1000;
	int r = write_full(fd, request, sizeof request);

	if (r < 0)
		return err_errno(e, -r, "asking for system info");
	shutdown(fd, SHUT_WR);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = now_us();
		uint8_t buf[16384];
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000 + 1)) < 0)
			return err_set(e, ETIMEDOUT, "no system info in time");
		n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
		if (n == 0)
			return wr_ok(in) ? 0 : err_set(e, EMSGSIZE, "system info is too long");
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_errno(e, errno, "system info");
		if (n > 0)
			wr_bytes(in, buf, (size_t)n);
	}
}

int sysjson_fetch(struct pol_sysinfo *si, const char *socket_path, struct err *e)
{
	_cleanup_fd_ int fd = unix_connect(socket_path, SOCK_STREAM, e);
	_cleanup_wr_ struct wr in = wr_grow(ANSWER_MAX);
	json_error_t je;
	json_t *root;
	int r;

	if (fd < 0)
		return fd;
	r = exchange(fd, &in, e);
	if (r < 0)
		return r;
	if (in.len < 2 || in.buf[0] != '0' || in.buf[1] != '\0')
		return err_set(e, EPROTO, "qubesd refused to give system info");
	root = json_loadb((const char *)in.buf + 2, in.len - 2, JSON_REJECT_DUPLICATES, &je);
	if (!root)
		return err_set(e, EBADMSG, "system info: %s", je.text);
	r = sysjson_table(si, root, e);
	json_decref(root);
	return r;
}
