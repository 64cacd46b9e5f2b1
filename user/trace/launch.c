// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting a command so that nothing of it is missed: the files that it will map are found first and probed,
 * then the waiting child is let go.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
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

static bool is_program(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISREG(status.st_mode) && !access(path, X_OK);
}

int launch_find(const char *command, char *path, struct error *err)
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

static void add_object(struct session *session, const char *path, bool in_advance)
{
	struct object *object = object_of_path(&session->objects, path, NULL);

	if (!object)
		return;
	if (!in_advance)
		unwind_object(session, object);
	place_object(session, object, 0, in_advance, NULL);
}

/* Lines as ldd prints them: "\tNAME => PATH (0xADDRESS)" or "\tPATH (0xADDRESS)". */
static void add_listed_object(struct session *session, char *line)
{
	char *path = strchr(line, '/'), *arrow = strstr(line, "=> "), *end;

	if (arrow)
		path = strchr(arrow, '/');
	end = path ? strstr(path, " (0x") : NULL;
	if (!end)
		return;
	*end = '\0';
	add_object(session, path, false);
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

static void add_listed_objects(struct session *session, FILE *list)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, list) > 0)
		add_listed_object(session, line);
	free(line);
}

/* Ask the program's own dynamic linker which libraries it will load; glibc's and musl's both answer to
 * --list. */
static void add_libraries(struct session *session, const char *interpreter, const char *path)
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
		add_listed_objects(session, list);
		fclose(list);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void add_allocators_beside(struct session *session, const char *libc)
{
	char directory[PATH_MAX], pattern[PATH_MAX + 64];

	/* One by one, their hundreds of probes take half a minute to remove. */
	if (session->tracer && tracer_mechanism(session->tracer) == TRACER_PERF)
		return;
	snprintf(directory, sizeof(directory), "%s", libc);
	dirname(directory);
	for (size_t i = 0; i < sizeof(allocator_globs) / sizeof(allocator_globs[0]); i++) {
		glob_t found;

		snprintf(pattern, sizeof(pattern), "%s/%s", directory, allocator_globs[i]);
		if (!glob(pattern, 0, NULL, &found)) {
			for (size_t j = 0; j < found.gl_pathc; j++)
				add_object(session, found.gl_pathv[j], true);
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

int launch_objects(struct session *session, const char *path, struct error *err)
{
	char program[PATH_MAX], next[PATH_MAX], real[PATH_MAX];
	const struct object *object;
	const char *interpreter;

	snprintf(program, sizeof(program), "%s", path);
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
	if (place_object(session, object, 0, false, err))
		return -1;
	interpreter = elf_file_interpreter(object->elf);
	if (!interpreter)
		return 0;
	add_object(session, interpreter, false);
	if (is_trusted(interpreter))
		add_libraries(session, interpreter, program);
	else
		session_warn(session,
			"%s asks for an odd dynamic linker, %s: its libraries are looked for once it runs",
			program, interpreter);
	for (size_t i = 0; i < session->objects.count; i++) {
		const char *known = session->objects.items[i]->path;
		const char *name = strrchr(known, '/');

		if (name && !strncmp(name, "/libc.so", strlen("/libc.so"))) {
			add_allocators_beside(session, known);
			break;
		}
	}
	return 0;
}

/* The child's side: wait for the word, then become the command; tell the parent if that fails. */
static void exec_command(
	const struct session *session, const char *path, char **command, int release, int error_fd)
{
	sigset_t none;
	char word;
	int failure;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_NOFILE, &session->descriptor_limit);
	if (read(release, &word, 1) != 1)
		_exit(0); /* leaktrace has gone */
	execv(path, command);
	failure = errno;
	if (write(error_fd, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

pid_t launch_wait(const struct session *session, const char *path, char **command, int *release_fd,
	int *error_fd, struct error *err)
{
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
		exec_command(session, path, command, release[0], failure[1]);
	}
	if (child < 0)
		error_set_errno(err, errno, "cannot run %s", path);
	close(release[0]);
	close(failure[1]);
	*release_fd = release[1];
	*error_fd = failure[0];
	return child;
}
