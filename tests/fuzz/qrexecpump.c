/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The data phase against a peer that sends anything: it must end, and leave nothing open. First byte: role and version. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "qrexec/pump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int chan[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), buffer = 1 << 20;
	struct pump_cfg p = { .to = -1, .from = -1, .err = -1 };
	size_t most = 1 << 16;

	if (size < 1 || null < 0 || unix_pair(SOCK_STREAM, chan) < 0)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	p.role = data[0] & 1 ? PUMP_SERVICE : PUMP_CALLER;
	p.version = 2 + (data[0] >> 1) % 3;
	p.flags = data[0] & 8 ? PUMP_FILTER_OUT : 0;
	p.chan = chan[0];
	p.to = dup(null);
	p.err = p.role == PUMP_CALLER ? dup(null) : -1;
	setsockopt(chan[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	if (size - 1 < most)
		most = size - 1;
	(void)!write(chan[1], data + 1, most);
	close(chan[1]);
	(void)pump_run(&p, NULL);
	close(chan[0]);
	close(null);
	return 0;
}
