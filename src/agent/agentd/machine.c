/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the host may do to this machine over the link: seed, clock, power off. */
#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "agent/agentd/agentd.h"
#include "base/log.h"

#define CLOCK_TOLERANCE_NS 100000000

static bool dry;

void machine_dry(void)
{
	dry = true;
	setvbuf(stdout, NULL, _IOLBF, 0);
}

int machine_seed(const uint8_t *p, size_t n, struct err *e)
{
	_cleanup_free_ struct rand_pool_info *info = NULL;
	_cleanup_fd_ int fd = -1;
	int r = 0;

	if (dry) {
		printf("seed ");
		for (size_t i = 0; i < n; i++)
			printf("%02x", p[i]);
		printf("\n");
		return 0;
	}
	fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "opening /dev/urandom");
	info = xcalloc(1, sizeof *info + n);
	info->entropy_count = (int)n * 8;
	info->buf_size = (int)n;
	memcpy(info->buf, p, n);
	if (ioctl(fd, RNDADDENTROPY, info) < 0)
		r = err_errno(e, errno, "adding entropy");
	/* Without this a clone would go on with the generator state of its siblings for up to a minute. */
	else if (ioctl(fd, RNDRESEEDCRNG) < 0)
		r = err_errno(e, errno, "reseeding");
	explicit_bzero(info->buf, n);
	return r;
}

void machine_time(uint64_t realtime_ns)
{
	struct timespec now, set = { .tv_sec = (time_t)(realtime_ns / 1000000000),
				     .tv_nsec = (long)(realtime_ns % 1000000000) };
	int64_t diff;

	if (dry) {
		printf("time %llu\n", (unsigned long long)realtime_ns);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	diff = (int64_t)(realtime_ns - ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec));
	if (diff > -CLOCK_TOLERANCE_NS && diff < CLOCK_TOLERANCE_NS)
		return;
	if (clock_settime(CLOCK_REALTIME, &set) < 0)
		log_warn("setting the clock failed: error=%s", strerror(errno));
}

void machine_still(void)
{
	if (dry)
		printf("still\n");
	else
		sync();
}

bool machine_poweroff(void)
{
	if (dry) {
		printf("poweroff\n");
		return true;
	}
	/* systemd starts poweroff.target on this signal, but only once it listens: one that comes earlier is lost. */
	if (access("/run/systemd/private", F_OK) == 0) {
		kill(1, SIGRTMIN + 4);
		return true;
	}
	if (access("/usr/lib/systemd/systemd", X_OK) == 0 && access("/run/bulkhead/boot", F_OK) == 0)
		return false;
	/* Another init of ours has no services to stop. */
	sync();
	reboot(RB_POWER_OFF);
	return true;
}

void machine_ready(void)
{
	static bool done;
	static const char text[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = -1;
	size_t n = path ? strlen(path) : 0;

	if (done || n == 0 || n >= sizeof a.sun_path)
		return;
	done = true;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("telling the service manager failed: error=%s", strerror(errno));
}
