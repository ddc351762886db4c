/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qrexec-policy-exec: one decision as a program, as the reference's daemon asks when there is no policy.sock. Same engine, same files, same
 * decision log as policyd; the table of qubes comes from qubesd. Prints the reply of policy.sock; exit 0 = allow.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/policyd/prompt.h"
#include "policyfile/sysjson.h"

static struct {
	bool assume_yes, just_evaluate;
	const char *qubesd_socket;
} opt;

static int usage(FILE *f, int code)
{
	fputs("usage: qrexec-policy-exec [--assume-yes-for-ask] [--just-evaluate] [--path DIR]… [--qubesd-socket PATH] [--agent-socket PATH] SOURCE TARGET SERVICE[+ARGUMENT]\n", f);
	return code;
}

static int parse(struct pd *pd, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "assume-yes-for-ask", no_argument, NULL, 'y' }, { "just-evaluate", no_argument, NULL, 'j' }, { "path", required_argument, NULL, 'p' },
		{ "qubesd-socket", required_argument, NULL, 'q' }, { "agent-socket", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'y':
			opt.assume_yes = true;
			break;
		case 'j':
			opt.just_evaluate = true;
			break;
		case 'p':
			if (pd->files.n_dirs == PD_DIRS_MAX)
				return usage(stderr, 2);
			pd->files.dirs[pd->files.n_dirs++] = optarg;
			break;
		case 'q':
			opt.qubesd_socket = optarg;
			break;
		case 'a':
			pd->agent_socket = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	/* the old form: the source's id first, the ident of the request last; neither says anything here */
	if (argc - optind == 5)
		optind++;
	else if (argc - optind != 3)
		return usage(stderr, 2);
	return -1;
}

static int prepare(struct pd *pd, struct pol_sysinfo *si, struct err *e)
{
	int r = paths_init(NULL, e);

	if (r < 0)
		return r;
	if (pd->files.n_dirs == 0) {
		pd->files.dirs[0] = path_get(PATH_POLICY_RUN);
		pd->files.dirs[1] = path_get(PATH_POLICY_ETC);
		pd->files.n_dirs = 2;
	}
	pd->files.legacy = path_get(PATH_POLICY_LEGACY);
	if (!pd->agent_socket)
		pd->agent_socket = path_get(PATH_PROMPT_SOCK);
	pd->loop = ev_new();
	r = pd_files_init(&pd->files, e);
	if (r < 0)
		return r;
	if (!opt.just_evaluate)
		pd->log_fd = open(path_get(PATH_POLICY_LOG), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return sysjson_fetch(si, opt.qubesd_socket ? opt.qubesd_socket : path_get(PATH_QUBESD_INTERNAL_SOCK), e);
}

/* The text of the reply; 0 = allowed. */
static int finish(struct pd *pd, const struct pol_query *q, const struct pol_decision *d, struct wr *w)
{
	struct pol_reply reply;

	if (!opt.just_evaluate)
		pd_log(pd, q, d, 0);
	pol_reply_make(&reply, d);
	pol_reply_text(w, &reply);
	pol_reply_fini(&reply);
	return d->outcome == POL_O_ALLOW ? 0 : 1;
}

static void on_answered(struct pd_question *q, struct pol_decision *d)
{
	ev_stop(q->pd->loop, finish(q->pd, &q->query, d, q->owner));
}

int main(int argc, char **argv)
{
	static struct pd pd = { .core_fd = -1, .log_fd = -1, .ask_ms = PD_ASK_SECONDS * 1000 };
	struct pd_question want = { .fn = on_answered };
	_cleanup_wr_ struct wr w = wr_grow(1u << 18);
	_cleanup_free_ char *service = NULL;
	struct pol_sysinfo si = { 0 };
	struct pol_query q = { 0 };
	struct pol_decision d;
	struct err e = { 0 };
	int r = parse(&pd, argc, argv);
	size_t n;

	if (r >= 0)
		return r;
	log_init("qrexec-policy-exec", NULL, -1);
	log_set_level(LOG_L_WARN);
	r = prepare(&pd, &si, &e);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	n = strcspn(argv[optind + 2], "+");
	service = xstrndup(argv[optind + 2], n);
	q = (struct pol_query){ .service = service, .argument = argv[optind + 2][n] ? argv[optind + 2] + n : "+", .source = argv[optind],
				.target = argv[optind + 1] };
	pd_decide(&pd, &d, r < 0 ? NULL : &si, &q);
	if (opt.assume_yes)
		pd_assume_yes(&pd, &d, &si, &q);
	if (d.outcome == POL_O_ASK && opt.just_evaluate)
		pol_decision_deny(&d, "ask, and nobody is asked for an evaluation");
	want.query = q;
	want.owner = &w;
	if (d.outcome == POL_O_ASK && pd_question_ask(&pd, &si, &si, &want, &d) == 0)
		r = ev_run(pd.loop);
	else
		r = finish(&pd, &q, &d, &w);
	pol_decision_fini(&d);
	pol_sysinfo_clear(&si);
	return write_full(STDOUT_FILENO, w.buf, w.len) < 0 ? 1 : r;
}
