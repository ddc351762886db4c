/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tools that run for the user: started without a shell, shown while they run, their own words shown when they fail. */
#include "gui/manager/manager.h"

#include <glib-unix.h>

#include "base/io.h"
#include "base/proc.h"
#include "base/wr.h"

#define TEXT_MAX 65536 /* of what a tool prints; the rest is dropped */

struct job {
	struct proc p;
	struct {
		int fd;
		struct wr w;
	} pipe[2]; /* standard output, standard error */
	unsigned open; /* pipes and the process itself */
	int status;
	char *title;
	GtkWidget *row;
	job_fn fn;
	void *arg;
};

static struct {
	GtkWidget *area, *bar, *text, *rows;
	unsigned running;
} st;

unsigned job_count(void)
{
	return st.running;
}

static void on_response(GtkInfoBar *bar, gint id, gpointer arg)
{
	gtk_widget_hide(GTK_WIDGET(bar));
}

GtkWidget *job_area(void)
{
	st.area = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
	st.rows = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
	st.bar = gtk_info_bar_new();
	st.text = gtk_label_new(NULL);
	gtk_label_set_line_wrap(GTK_LABEL(st.text), TRUE);
	gtk_label_set_selectable(GTK_LABEL(st.text), TRUE);
	gtk_label_set_xalign(GTK_LABEL(st.text), 0);
	gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(GTK_INFO_BAR(st.bar))), st.text);
	gtk_info_bar_set_show_close_button(GTK_INFO_BAR(st.bar), TRUE);
	g_signal_connect(st.bar, "response", G_CALLBACK(on_response), NULL);
	gtk_box_pack_start(GTK_BOX(st.area), st.bar, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(st.area), st.rows, FALSE, FALSE, 0);
	gtk_widget_show_all(st.area);
	gtk_widget_hide(st.bar);
	gtk_widget_set_no_show_all(st.bar, TRUE);
	return st.area;
}

void job_message(GtkMessageType type, const char *text)
{
	/* The tray has no window of its own to say it in. */
	if (!st.bar) {
		GtkWidget *d = gtk_message_dialog_new(NULL, 0, type, GTK_BUTTONS_CLOSE, "%s", text);

		gtk_window_set_title(GTK_WINDOW(d), _("Qubes"));
		g_signal_connect(d, "response", G_CALLBACK(gtk_widget_destroy), NULL);
		gtk_widget_show_all(d);
		return;
	}
	gtk_info_bar_set_message_type(GTK_INFO_BAR(st.bar), type);
	gtk_label_set_text(GTK_LABEL(st.text), text);
	gtk_widget_set_no_show_all(st.bar, FALSE);
	gtk_widget_show_all(st.bar);
}

static void over(struct job *j)
{
	int code = proc_exit_code(j->status);

	if (--j->open)
		return;
	for (size_t i = 0; i < 2; i++)
		wr_u8(&j->pipe[i].w, 0);
	st.running--;
	if (j->row)
		gtk_widget_destroy(j->row);
	if (code != 0) {
		const char *said = wr_ok(&j->pipe[1].w) && j->pipe[1].w.buf[0] ? (const char *)j->pipe[1].w.buf : NULL;
		g_autofree char *clean = g_utf8_make_valid(said ? said : _("it failed without a word"), -1);
		g_autofree char *all = g_strdup_printf("%s\n%s", j->title, g_strchomp(clean));

		job_message(GTK_MESSAGE_ERROR, all);
	}
	if (j->fn)
		j->fn(code, wr_ok(&j->pipe[0].w) ? (const char *)j->pipe[0].w.buf : "", j->arg);
	for (size_t i = 0; i < 2; i++)
		wr_free(&j->pipe[i].w);
	proc_fini(&j->p);
	g_free(j->title);
	free(j);
}

static gboolean on_pipe(gint fd, GIOCondition cond, gpointer arg)
{
	struct job *j = arg;
	size_t i = fd == j->pipe[0].fd ? 0 : 1;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n > 0) {
		if (j->pipe[i].w.len + (size_t)n < TEXT_MAX)
			wr_bytes(&j->pipe[i].w, buf, (size_t)n);
		return G_SOURCE_CONTINUE;
	}
	close(fd);
	over(j);
	return G_SOURCE_REMOVE;
}

static gboolean on_ended(gint fd, GIOCondition cond, gpointer arg)
{
	struct job *j = arg;

	if (proc_wait(&j->p, 0, &j->status) < 0)
		return G_SOURCE_CONTINUE;
	over(j);
	return G_SOURCE_REMOVE;
}

/* Our tools lie beside us, or where the system has them. */
static const char *tool_path(char out[PATH_MAX], const char *name)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;

	if (dir && str_printf(out, PATH_MAX, "%s/%s", dir, name) == 0 && access(out, X_OK) == 0)
		return out;
	if (str_printf(out, PATH_MAX, "/usr/bin/%s", name) < 0)
		abort(); /* names of tools are ours */
	return out;
}

static int start(struct job *j, const char *const *argv, struct err *e)
{
	char path[PATH_MAX];
	int out[2], err[2], r;
	struct proc_spec spec = { .path = tool_path(path, argv[0]), .argv = argv, .envp = (const char *const *)environ };

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	if (pipe2(err, O_CLOEXEC) < 0) {
		r = err_errno(e, errno, "pipe");
		close(out[0]);
		close(out[1]);
		return r;
	}
	spec.fds[0].fd = out[1];
	spec.fds[0].as = STDOUT_FILENO;
	spec.fds[1].fd = err[1];
	spec.fds[1].as = STDERR_FILENO;
	spec.n_fds = 2;
	r = proc_spawn(&j->p, &spec, e);
	close(out[1]);
	close(err[1]);
	if (r < 0) {
		close(out[0]);
		close(err[0]);
		return r;
	}
	j->pipe[0].fd = out[0];
	j->pipe[1].fd = err[0];
	return 0;
}

static GtkWidget *row_new(const char *title)
{
	GtkWidget *row = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6), *spinner = gtk_spinner_new();

	gtk_spinner_start(GTK_SPINNER(spinner));
	gtk_box_pack_start(GTK_BOX(row), spinner, FALSE, FALSE, 6);
	gtk_box_pack_start(GTK_BOX(row), gtk_label_new(title), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(st.rows), row, FALSE, FALSE, 2);
	gtk_widget_show_all(row);
	return row;
}

void job_run(const char *title, const char *const *argv, job_fn fn, void *arg)
{
	struct job *j = xcalloc(1, sizeof *j);
	struct err e = { 0 };

	j->p = PROC_INIT;
	j->fn = fn;
	j->arg = arg;
	for (size_t i = 0; i < 2; i++)
		j->pipe[i].w = wr_grow(TEXT_MAX + 4096);
	if (start(j, argv, &e) < 0) {
		job_message(GTK_MESSAGE_ERROR, e.msg);
		free(j);
		return;
	}
	j->title = g_strdup(title);
	j->row = st.rows ? row_new(title) : NULL;
	st.running++;
	j->open = 3;
	for (size_t i = 0; i < 2; i++)
		g_unix_fd_add(j->pipe[i].fd, G_IO_IN | G_IO_HUP, on_pipe, j);
	g_unix_fd_add(j->p.pidfd, G_IO_IN, on_ended, j);
}
