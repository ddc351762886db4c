/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-run-vm [options] VM COMMAND [ARG…]: runs a command in another qube through qubes.VMExec. One word is given to that qube's shell, more
 * words are an argument vector that no shell sees.
 */
#include <getopt.h>

#include "agent/vmtools/find.h"
#include "base/err.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/vmexec.h"

static int usage(FILE *out, int code)
{
	fputs("usage: qvm-run-vm [--no-gui] [--no-shell] [--dispvm[=TEMPLATE]] VM COMMAND [ARG...]\n"
	      "Runs a command in another qube; its input, output and exit status are this command's.\n"
	      "A single COMMAND goes to the other qube's shell; with --no-shell or with ARGs it is run as it is.\n"
	      "With --dispvm a new disposable is used and VM is left out.\n",
	      out);
	return code;
}

struct job {
	bool gui, no_shell, dispvm;
	char target[80];
	char *const *command;
	int n_command;
};

static int parse(struct job *j, int argc, char **argv)
{
	static const struct option options[] = {
		{ "gui", no_argument, NULL, 'g' },	{ "no-gui", no_argument, NULL, 'G' },
		{ "nogui", no_argument, NULL, 'G' },	{ "no-shell", no_argument, NULL, 's' },
		{ "dispvm", optional_argument, NULL, 'd' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'g':
			j->gui = true;
			break;
		case 'G':
			j->gui = false;
			break;
		case 's':
			j->no_shell = true;
			break;
		case 'd':
			j->dispvm = true;
			r = str_printf(j->target, sizeof j->target, "@dispvm%s%s", optarg ? ":" : "", optarg ? optarg : "");
			break;
		case 'h':
			exit(usage(stdout, 0));
		default:
			return usage(stderr, 2);
		}
	}
	if (!j->dispvm && optind < argc)
		r = str_copy(j->target, sizeof j->target, argv[optind++]);
	if (r < 0 || optind >= argc)
		return usage(stderr, 2);
	j->command = argv + optind;
	j->n_command = argc - optind;
	return 0;
}

static int run(const struct job *j, struct err *e)
{
	extern char **environ;
	const char *shell[] = { "/bin/sh", "-c", j->command[0], NULL };
	bool as_is = j->no_shell || j->n_command > 1;
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	_cleanup_free_ const char **words = xcalloc((size_t)j->n_command + 1, sizeof *words);
	_cleanup_proc_ struct proc p = PROC_INIT;
	const char *argv[] = { "qrexec-client-vm", "--", j->target, NULL, NULL };
	char client[PATH_MAX], cwd[PATH_MAX];
	struct proc_spec s = { .path = client,
			       .argv = argv,
			       .envp = (const char *const *)environ,
			       .cwd = cwd,
			       .fds = { { 0, 0 }, { 1, 1 } },
			       .n_fds = 2,
			       .keep_stderr = true };
	int r, status;

	for (int i = 0; i < j->n_command; i++)
		words[i] = j->command[i];
	wr_printf(&w, "qubes.VMExec%s+", j->gui ? "GUI" : "");
	vmexec_put(&w, as_is ? words : shell);
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return err_set(e, E2BIG, "the command is too long");
	argv[3] = (const char *)w.buf;
	if (!getcwd(cwd, sizeof cwd))
		return err_errno(e, errno, "current directory");
	find_beside(client, "qrexec-client-vm", "/usr/bin");
	r = proc_spawn(&p, &s, e);
	if (r == 0)
		r = proc_wait(&p, -1, &status);
	return r < 0 ? r : proc_exit_code(status);
}

int main(int argc, char **argv)
{
	struct job j = { .gui = getenv("DISPLAY") || getenv("WAYLAND_DISPLAY") };
	struct err e = { 0 };
	int r = parse(&j, argc, argv);

	if (r)
		return r;
	r = run(&j, &e);
	if (r < 0)
		fprintf(stderr, "qvm-run-vm: %s\n", err_text(&e, r));
	return r < 0 ? 125 : r;
}
