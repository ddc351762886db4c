/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The environment of a call. */
#include "base/str.h"
#include "qrexec/start.h"

#define ENV_MAX 4096

struct env {
	char **v;
	size_t n;
};

static void env_add(struct env *env, char *row)
{
	if (env->n + 1 >= ENV_MAX) {
		free(row);
		return;
	}
	env->v[env->n++] = row;
}

static void env_set(struct env *env, const char *name, const char *value)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], name, n) != 0 || env->v[i][n] != '=')
			continue;
		free(env->v[i]);
		env->v[i] = xasprintf("%s=%s", name, value);
		return;
	}
	env_add(env, xasprintf("%s=%s", name, value));
}

/* Nothing that looks like an answer of ours about the caller may come from elsewhere. */
static bool inherited(const char *row)
{
	return !str_starts(row, "QREXEC") || str_starts(row, "QREXEC_SERVICE_PATH=");
}

static void service_vars(struct env *env, const struct qx_command *c)
{
	bool name = streq(c->target_type, "name"), keyword = streq(c->target_type, "keyword");

	env_set(env, "QREXEC_SERVICE_FULL_NAME", c->full);
	env_set(env, "QREXEC_REMOTE_DOMAIN", c->source);
	if (c->arg)
		env_set(env, "QREXEC_SERVICE_ARGUMENT", c->arg);
	env_set(env, "QREXEC_REQUESTED_TARGET_TYPE", c->target_type);
	if (name)
		env_set(env, "QREXEC_REQUESTED_TARGET", c->target);
	if (keyword)
		env_set(env, "QREXEC_REQUESTED_TARGET_KEYWORD", c->target);
}

char **start_env(const struct start *s)
{
	struct env env = { .v = xcalloc(ENV_MAX, sizeof *env.v) };
	char pid[16];

	for (size_t i = 0; s->env && s->env[i]; i++)
		if (inherited(s->env[i]))
			env_add(&env, xstrdup(s->env[i]));
	if (s->user) {
		env_set(&env, "HOME", s->user->home);
		env_set(&env, "SHELL", s->user->shell);
		env_set(&env, "USER", s->user->name);
		env_set(&env, "LOGNAME", s->user->name);
	}
	if (str_printf(pid, sizeof pid, "%d", (int)getpid()) == 0)
		env_set(&env, "QREXEC_AGENT_PID", pid);
	if (s->cmd->rpc)
		service_vars(&env, s->cmd);
	env.v[env.n] = NULL;
	return env.v;
}

void start_env_free(char **env)
{
	for (size_t i = 0; env && env[i]; i++)
		free(env[i]);
	free(env);
}
