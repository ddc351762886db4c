/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-policy-eval: the policy engine by hand and for suites. Reads no system file but those it is given. */
#include <getopt.h>

#include "base/str.h"
#include "daemon/policyd/evalops.h"

static int usage(FILE *f, int code)
{
	fputs("usage: qrexec-policy-eval [--system-info FILE.json] --batch\n"
	      "Reads one JSON object a line and answers each with one line.\n",
	      f);
	return code;
}

static int batch(const json_t *systems)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		json_error_t je;
		json_t *rq, *answer;
		char *text;

		if (n == 0 || line[0] == '\n')
			continue;
		rq = json_loadb(line, (size_t)n, 0, &je);
		answer = json_is_object(rq) ? evalop_run(rq, systems) : json_pack("{s:s}", "error", "not a JSON object");
		text = answer ? json_dumps(answer, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		puts(text ? text : "{\"error\":\"the answer is not valid text\"}");
		/* A suite may talk to the program in turns. */
		fflush(stdout);
		free(text);
		json_decref(answer);
		json_decref(rq);
	}
	free(line);
	return ferror(stdin) || ferror(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "system-info", required_argument, NULL, 's' }, { "batch", no_argument, NULL, 'b' }, { "help", no_argument, NULL, 'h' }, { 0 },
	};
	json_t *systems = NULL;
	bool want_batch = false;
	json_error_t je;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			json_decref(systems);
			systems = json_load_file(optarg, 0, &je);
			if (!systems) {
				fprintf(stderr, "qrexec-policy-eval: %s: %s\n", optarg, je.text);
				return 1;
			}
			break;
		case 'b':
			want_batch = true;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (!want_batch || optind < argc)
		return usage(stderr, 2);
	r = batch(systems);
	evalops_fini();
	json_decref(systems);
	return r;
}
