// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting a command so that nothing of it is missed: the files that it will map are found first and probed,
 * then the waiting child is let go. Finding and examining them needs nothing of the kernel side, so a thread
 * does it while that is being loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "trace/session_internal.h"

/* How many interpreters of scripts the kernel follows (BINPRM_MAX_RECURSION). */
#define SCRIPT_DEPTH 5

/* Allocators that a child may bring along: probed where they lie beside libc, at no cost until something maps
 * them. */
static const char *const allocator_globs[] = {"libjemalloc.so*", "libtcmalloc*.so*", "libmimalloc*.so*"};

struct launch {
	struct session *session;
	char path[PATH_MAX]; /* of the command */
	struct {
		struct launch_file {
			struct object *object;
			bool in_advance; /* nothing is known to map it yet */
		} * items;
		size_t count, capacity;
	} files; /* in the order in which they are to be probed */
	pthread_t thread;
	bool in_thread;
	int status; /* of finding them: 0, or -1 with the error */
	struct error err;
};

static bool is_program(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISREG(status.st_mode) && !access(path, X_OK);
}

/* Find a command as execvp() does. @param path  PATH_MAX bytes */
static int find_command(const char *command, char *path, struct error *err)
{
	_cleanup_free_ char *directories = NULL;
	const char *variable = getenv("PATH");
	char *rest, *directory;

	if (strchr(command, '/')) {
		snprintf(path, PATH_MAX, "%s", command);
		if (access(path, F_OK))
			return error_set(err, ERROR_USAGE, "cannot run %s: %s", command, strerror(errno));
		return 0;
	}
	directories = strdup(variable ? variable : "/usr/local/bin:/usr/bin:/bin");
	if (!directories)
		return error_set_errno(err, ENOMEM, "cannot run %s", command);
	rest = directories;
	while ((directory = strsep(&rest, ":"))) {
		snprintf(path, PATH_MAX, "%s/%s", *directory ? directory : ".", command);
		if (is_program(path))
			return 0;
	}
	return error_set(err, ERROR_USAGE, "cannot run %s: no such command in PATH", command);
}

/* @return whether the file is a script; its interpreter is written to `interpreter` (PATH_MAX bytes). */
static bool script_interpreter(const char *path, char *interpreter)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char line[PATH_MAX];
	ssize_t length;

	if (fd < 0)
		return false;
	length = read(fd, line, sizeof(line) - 1);
	if (length < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[length] = '\0';
	return sscanf(line + 2, " %4095[^ \t\n]", interpreter) == 1;
}

static void add_file(struct launch *launch, struct object *object, bool in_advance)
{
	struct launch_file *file = array_push(&launch->files);

	if (file)
		*file = (struct launch_file){.object = object, .in_advance = in_advance};
}

static void add_object(struct launch *launch, const char *path, bool in_advance)
{
	struct object *object = object_of_path(&launch->session->objects, path, NULL);

	if (object)
		add_file(launch, object, in_advance);
}

/* Lines as ldd prints them: "\tNAME => PATH (0xADDRESS)" or "\tPATH (0xADDRESS)". */
static void add_listed_object(struct launch *launch, char *line)
{
	char *path = strchr(line, '/'), *arrow = strstr(line, "=> "), *end;

	if (arrow)
		path = strchr(arrow, '/');
	end = path ? strstr(path, " (0x") : NULL;
	if (!end)
		return;
	*end = '\0';
	add_object(launch, path, false);
}

/* The child's side: become the dynamic linker, listing instead of running. */
static void exec_list(const char *interpreter, const char *path, int output)
{
	int nothing = open("/dev/null", O_RDWR);

	dup2(nothing, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(nothing, STDERR_FILENO);
	execl(interpreter, interpreter, "--list", path, (char *)NULL);
	_exit(127);
}

static void add_listed_objects(struct launch *launch, FILE *list)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, list) > 0)
		add_listed_object(launch, line);
	free(line);
}

/* Ask the program's own dynamic linker which libraries it will load; glibc's and musl's both answer to
 * --list. */
static void add_libraries(struct launch *launch, const char *interpreter, const char *path)
{
	int pipe_fds[2];
	pid_t child;
	FILE *list;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return;
	child = fork();
	if (!child)
		exec_list(interpreter, path, pipe_fds[1]);
	close(pipe_fds[1]);
	list = fdopen(pipe_fds[0], "r");
	if (!list) {
		close(pipe_fds[0]);
	} else {
		add_listed_objects(launch, list);
		fclose(list);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void add_allocators_beside(struct launch *launch, const char *libc)
{
	char directory[PATH_MAX], pattern[PATH_MAX + 64];

	snprintf(directory, sizeof(directory), "%s", libc);
	dirname(directory);
	for (size_t i = 0; i < sizeof(allocator_globs) / sizeof(allocator_globs[0]); i++) {
		glob_t found;

		snprintf(pattern, sizeof(pattern), "%s/%s", directory, allocator_globs[i]);
		if (!glob(pattern, 0, NULL, &found)) {
			for (size_t j = 0; j < found.gl_pathc; j++)
				add_object(launch, found.gl_pathv[j], true);
		}
		globfree(&found);
	}
}

/* What is run to list libraries, perhaps in a dry run, must not be just any file that a program names. */
static bool is_trusted(const char *interpreter)
{
	struct stat status;

	return !stat(interpreter, &status) && S_ISREG(status.st_mode) && status.st_uid == 0 &&
	       !(status.st_mode & (S_IWGRP | S_IWOTH)) && strstr(interpreter, "/ld-");
}

static int find_files(struct launch *launch, struct error *err)
{
	struct session *session = launch->session;
	char program[PATH_MAX], next[PATH_MAX], real[PATH_MAX];
	struct object *object;
	const char *interpreter;

	snprintf(program, sizeof(program), "%s", launch->path);
	for (int depth = 0; depth < SCRIPT_DEPTH && script_interpreter(program, next); depth++)
		snprintf(program, sizeof(program), "%s", next);
	/* The dynamic linker takes $ORIGIN from where the file is, not from a link to it. */
	if (realpath(program, real))
		snprintf(program, sizeof(program), "%s", real);
	object = object_of_path(&session->objects, program, err);
	if (!object)
		return -1;
	if (!object->elf) {
		*err = object->problem;
		return -1;
	}
	add_file(launch, object, false);
	if (!launch->files.count)
		return error_set_errno(err, ENOMEM, "cannot run %s", program);
	interpreter = elf_file_interpreter(object->elf);
	if (!interpreter)
		return 0;
	add_object(launch, interpreter, false);
	if (is_trusted(interpreter))
		add_libraries(launch, interpreter, program);
	else
		session_warn(session,
			"%s asks for an odd dynamic linker, %s: its libraries are looked for once it runs",
			program, interpreter);
	for (size_t i = 0; i < launch->files.count; i++) {
		const char *known = launch->files.items[i].object->path;
		const char *name = strrchr(known, '/');

		if (name && !strncmp(name, "/libc.so", strlen("/libc.so"))) {
			add_allocators_beside(launch, known);
			break;
		}
	}
	return 0;
}

static void *find_files_in_thread(void *data)
{
	struct launch *launch = data;

	launch->status = find_files(launch, &launch->err);
	return NULL;
}

int launch_begin(struct session *session, struct error *err)
{
	struct launch *launch = calloc(1, sizeof(*launch));

	session->launch = launch;
	if (!launch)
		return error_set_errno(err, ENOMEM, "cannot run %s", session->options.command[0]);
	launch->session = session;
	if (find_command(session->options.command[0], launch->path, err))
		return -1;
	launch->in_thread = !pthread_create(&launch->thread, NULL, find_files_in_thread, launch);
	if (!launch->in_thread)
		find_files_in_thread(launch);
	return 0;
}

int launch_files_found(struct session *session, struct error *err)
{
	struct launch *launch = session->launch;

	if (launch->in_thread)
		pthread_join(launch->thread, NULL);
	launch->in_thread = false;
	if (launch->status)
		*err = launch->err;
	return launch->status;
}

void launch_free(struct session *session)
{
	struct launch *launch = session->launch;

	if (!launch)
		return;
	if (launch->in_thread)
		pthread_join(launch->thread, NULL);
	array_free(&launch->files);
	free(launch);
}

int launch_place(struct session *session, struct error *err)
{
	const struct launch *launch = session->launch;
	/* One by one, the hundreds of probes of allocators beside libc take half a minute to remove. */
	bool any_in_advance = !session->tracer || tracer_mechanism(session->tracer) != TRACER_PERF;

	for (size_t i = 0; i < launch->files.count; i++) {
		const struct launch_file *file = &launch->files.items[i];

		if (file->in_advance && !any_in_advance)
			continue;
		if (!file->in_advance)
			unwind_object(session, file->object);
		/* Of what it is started with, the program itself must be there. */
		if (place_object(session, file->object, 0, file->in_advance, i ? NULL : err) && !i)
			return -1;
	}
	return 0;
}

/* The child's side: wait for the word, then become the command; tell the parent if that fails. */
static void exec_command(const struct session *session, int release, int error_fd)
{
	sigset_t none;
	char word;
	int failure;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_NOFILE, &session->descriptor_limit);
	if (read(release, &word, 1) != 1)
		_exit(0); /* leaktrace has gone */
	execv(session->launch->path, session->options.command);
	failure = errno;
	if (write(error_fd, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

pid_t launch_wait(const struct session *session, int *release_fd, int *error_fd, struct error *err)
{
	const char *path = session->launch->path;
	int release[2], failure[2];
	pid_t child;

	if (pipe2(release, O_CLOEXEC))
		return error_set_errno(err, errno, "cannot run %s", path);
	if (pipe2(failure, O_CLOEXEC)) {
		error_set_errno(err, errno, "cannot run %s", path);
		close(release[0]);
		close(release[1]);
		return -1;
	}
	child = fork();
	if (!child) {
		close(release[1]);
		exec_command(session, release[0], failure[1]);
	}
	if (child < 0)
		error_set_errno(err, errno, "cannot run %s", path);
	close(release[0]);
	close(failure[1]);
	*release_fd = release[1];
	*error_fd = failure[0];
	return child;
}
