// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * truth [--every N] [--samples MAX] -- COMMAND...: run a command and compare, at one of N of its allocator
 * calls and at MAX of them at the most, the stack that leaktop walks in the kernel with the one that libdw
 * finds. Its standard output is thrown away. Exit status: 0 when the comparison was made, however it came
 * out, and the command ran to its end.
 *
 * A program on the allocator functions walks the stack and sends the thread a SIGSTOP, which stops it before
 * it runs on. The signal is taken away again here, so that the command never notices.
 */
#include "tests/truth/truth.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"

struct truth {
	pid_t pid;
	uint64_t max_samples;
	struct kernel_side *kernel;
	struct libdw_side *libdw;
	struct verdicts *verdicts;
	/* Threads that were looked at when they stopped for another reason, their SIGSTOP still to come. */
	struct {
		pid_t *items;
		size_t count, capacity;
	} owed;
	bool runs, ended; /* the command */
	int status;	  /* of its end, as a shell tells it */
};

/* Start a child that waits until it is told, by a byte through `go`, to execute the command. */
static pid_t start(char **command, int *go, struct error *err)
{
	int pipe_fds[2], null;
	pid_t pid;
	char byte;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return error_set_errno(err, errno, "cannot make a pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		error_set_errno(err, errno, "cannot fork");
		close(pipe_fds[1]);
	} else if (pid == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (read(pipe_fds[0], &byte, 1) != 1 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
			_exit(127);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	close(pipe_fds[0]);
	*go = pipe_fds[1];
	return pid;
}

static int update(struct truth *truth, struct error *err)
{
	if (kernel_side_update(truth->kernel, err))
		return -1;
	return libdw_side_update(truth->libdw, err);
}

/* Look at a thread that is stopped for us. */
static int examine(struct truth *truth, const struct truth_sample *sample, struct error *err)
{
	struct libdw_stack stack;

	if (sample->objects_changed)
		return update(truth, err);
	libdw_side_walk(truth->libdw, (pid_t)sample->tid, &stack);
	verdicts_add(truth->verdicts, truth->libdw, sample, &stack);
	if (verdicts_samples(truth->verdicts) >= truth->max_samples)
		kernel_side_finish(truth->kernel);
	return 0;
}

static bool owed_take(struct truth *truth, pid_t tid)
{
	for (size_t i = 0; i < truth->owed.count; i++) {
		if (truth->owed.items[i] == tid) {
			truth->owed.items[i] = truth->owed.items[--truth->owed.count];
			return true;
		}
	}
	return false;
}

/* A thread has stopped: look at it, and let it go on. */
static int stopped(struct truth *truth, pid_t tid, int status, struct error *err)
{
	const struct truth_sample *sample = truth->runs ? kernel_side_take(truth->kernel, tid) : NULL;
	int event = status >> 16, number = WSTOPSIG(status);
	pid_t *owed;

	if (sample) {
		if (examine(truth, sample, err))
			return -1;
		owed = array_push(&truth->owed);
		if (!owed)
			return error_set_errno(err, ENOMEM, "cannot follow the command");
		*owed = tid;
	}
	if (event == PTRACE_EVENT_EXEC && !truth->runs) {
		truth->runs = true;
		if (update(truth, err))
			return -1;
	}
	if (event || (number == SIGSTOP && owed_take(truth, tid)))
		number = 0;
	/* ESRCH: killed while it was stopped. */
	if (ptrace(PTRACE_CONT, tid, NULL, (void *)(long)number) && errno != ESRCH)
		return error_set_errno(err, errno, "cannot let thread %d go on", tid);
	return 0;
}

/* Follow the command to its end. */
static int follow(struct truth *truth, struct error *err)
{
	int status;
	pid_t tid;

	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == ECHILD)
			break;
		if (tid < 0)
			return error_set_errno(err, errno, "cannot wait for the command");
		if (WIFSTOPPED(status)) {
			if (stopped(truth, tid, status, err))
				return -1;
		} else if (tid == truth->pid) {
			truth->ended = true;
			truth->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	if (!truth->runs)
		return error_set(err, ERROR_USAGE, "the command could not be executed");
	return 0;
}

static int run(struct truth *truth, unsigned int every, char **command, struct error *err)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	int go = -1, result = -1;

	truth->pid = start(command, &go, err);
	if (truth->pid < 0)
		return -1;
	if (ptrace(PTRACE_SEIZE, truth->pid, NULL, (void *)options)) {
		error_set_errno(err, errno, "cannot trace the command");
		goto out;
	}
	truth->kernel = kernel_side_load(truth->pid, every, err);
	truth->libdw = libdw_side_open(truth->pid, err);
	truth->verdicts = verdicts_new();
	if (!truth->kernel || !truth->libdw || !truth->verdicts)
		goto out;
	if (write(go, "", 1) != 1) {
		error_set_errno(err, errno, "cannot start the command");
		goto out;
	}
	result = follow(truth, err);
out:
	/* Whatever went wrong: nothing is left behind, stopped. */
	if (result && !truth->ended)
		kill(truth->pid, SIGKILL);
	close(go);
	return result;
}

static int parse(int argc, char **argv, unsigned int *every, uint64_t *max_samples)
{
	static const struct option options[] = {
		{"every", required_argument, NULL, 'e'},
		{"samples", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == 'e')
			*every = (unsigned int)strtoul(optarg, NULL, 10);
		else if (option == 's')
			*max_samples = strtoull(optarg, NULL, 10);
		else
			return -1;
	}
	return *every && *every < 1U << 30 && optind < argc ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct truth truth = {.max_samples = UINT64_MAX};
	struct error err = {0};
	unsigned int every = 1;
	struct truth_counts counts;
	int result;

	if (parse(argc, argv, &every, &truth.max_samples)) {
		fputs("usage: truth [--every N] [--samples MAX] -- COMMAND...\n", stderr);
		return 2;
	}
	unsetenv("DEBUGINFOD_URLS"); /* libdw is to ask no server */
	result = run(&truth, every, argv + optind, &err);
	if (result) {
		fprintf(stderr, "truth: %s\n", err.message);
	} else {
		counts = kernel_side_counts(truth.kernel);
		verdicts_print(truth.verdicts, &counts, truth.status);
	}
	array_free(&truth.owed);
	verdicts_free(truth.verdicts);
	libdw_side_free(truth.libdw);
	kernel_side_free(truth.kernel);
	return result ? error_exit_status(&err) : 0;
}
