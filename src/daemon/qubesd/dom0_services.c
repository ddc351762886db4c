/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Services of dom0: its features service.NAME as files run/qubes-service/NAME, which units and scripts of dom0 look for as those of a qube do for theirs.
 * An empty value is off. The folder holds nothing else: what has no feature is removed at the start.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/qubesd.h"

#define PREFIX "service."
#define NAME_BYTES_MAX 48

static bool name_ok(const char *s)
{
	return s[0] && strlen(s) <= NAME_BYTES_MAX && !strchr(s, '/') && !streq(s, ".") && !streq(s, "..");
}

static void put(const char *name, bool on)
{
	char path[PATH_MAX];
	int fd;

	if (!name_ok(name))
		return;
	path_fmt(path, PATH_DOM0_SERVICES, "/%s", name);
	if (!on) {
		if (unlink(path) < 0 && errno != ENOENT)
			log_warn("%s: %s", path, strerror(errno));
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		log_warn("%s: %s", path, strerror(errno));
	else
		close(fd);
}

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	struct rd rd = rd_mem(frame, n);
	struct admin_event ev;
	const char *k, *v, *feature = NULL, *value = "";

	if (admin_get_event(&rd, &ev) < 0 || !(str_starts(ev.name, "domain-feature-set:") || str_starts(ev.name, "domain-feature-delete:")))
		return;
	while (admin_event_arg(&ev.args, &k, &v)) {
		if (streq(k, "feature"))
			feature = v;
		else if (streq(k, "value"))
			value = v;
	}
	if (feature && str_starts(feature, PREFIX))
		put(feature + strlen(PREFIX), str_starts(ev.name, "domain-feature-set:") && value[0]);
}

static void remove_old(const struct qube *dom0)
{
	DIR *dir = opendir(path_get(PATH_DOM0_SERVICES));
	const struct dirent *f;

	while (dir && (f = readdir(dir))) {
		char key[sizeof PREFIX + NAME_BYTES_MAX];
		const char *value;

		if (!name_ok(f->d_name) || str_printf(key, sizeof key, PREFIX "%s", f->d_name) < 0)
			continue;
		value = kv_get(&dom0->features, key);
		if (!value || !value[0])
			put(f->d_name, false);
	}
	if (dir)
		closedir(dir);
}

void dom0_services_start(struct qd *d)
{
	static struct subscriber sub = { .send = on_event, .src = "dom0", .only = "dom0" };
	const struct kvmap *f = &d->core->dom0->features;

	if (mkdir(path_get(PATH_DOM0_SERVICES), 0755) < 0 && errno != EEXIST) {
		log_warn("%s: %s", path_get(PATH_DOM0_SERVICES), strerror(errno));
		return;
	}
	remove_old(d->core->dom0);
	for (size_t i = 0; i < f->n; i++)
		if (str_starts(f->v[i].key, PREFIX))
			put(f->v[i].key + strlen(PREFIX), f->v[i].value[0]);
	sub.next = d->core->subs;
	d->core->subs = &sub;
}
