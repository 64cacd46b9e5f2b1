// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "report/output.h"

static char folder[] = "/tmp/leaktop-test-output-XXXXXX";
static char path[PATH_MAX];
static struct error err;

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *name, const char *expected)
{
	char text[256] = "";
	FILE *file = fopen(name, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(text, expected);
}

static mode_t mode_of(const char *name)
{
	struct stat status;

	assert_int_equal(stat(name, &status), 0);
	return status.st_mode & 07777;
}

/* Remove what is in the folder. Returns how many entries there were. */
static int empty_folder(void)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		count++;
		unlinkat(dirfd(directory), entry->d_name, 0);
	}
	closedir(directory);
	return count;
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/report", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int before_each(void **state)
{
	(void)state;
	memset(&err, 0, sizeof(err));
	empty_folder();
	return 0;
}

static void a_new_file_appears_at_commit(void **state)
{
	mode_t mask = umask(027);
	struct output_file *file = output_file_open(path, &err);

	(void)state;
	assert_non_null(file);
	fputs("new", output_file_stream(file));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(output_file_commit(file, &err), 0);
	umask(mask);
	assert_content(path, "new");
	assert_int_equal(mode_of(path), 0640);
	assert_int_equal(empty_folder(), 1);
}

static void an_old_file_is_replaced_and_keeps_its_mode(void **state)
{
	struct output_file *file;
	struct stat before, after;

	(void)state;
	write_file(path, "old");
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(stat(path, &before), 0);
	file = output_file_open(path, &err);
	assert_non_null(file);
	fputs("new", output_file_stream(file));
	fflush(output_file_stream(file));
	assert_content(path, "old");
	assert_int_equal(output_file_commit(file, &err), 0);
	assert_content(path, "new");
	assert_int_equal(mode_of(path), 0604);
	assert_int_equal(stat(path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(empty_folder(), 1);
}

static void an_owner_is_kept_outside_shared_folders(void **state)
{
	struct output_file *file;
	struct stat status;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file(path, "old");
	assert_int_equal(chown(path, 1234, 4321), 0);
	file = output_file_open(path, &err);
	assert_non_null(file);
	assert_int_equal(output_file_commit(file, &err), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, 1234);
	assert_int_equal(status.st_gid, 4321);

	/* In a folder as /tmp is, whoever put the file there does not get the new one. */
	assert_int_equal(chmod(folder, 01777), 0);
	file = output_file_open(path, &err);
	if (file)
		assert_int_equal(output_file_commit(file, &err), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	assert_non_null(file);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, 0);
}

static void abort_leaves_no_trace(void **state)
{
	struct output_file *file;

	(void)state;
	write_file(path, "old");
	file = output_file_open(path, &err);
	assert_non_null(file);
	fputs("new", output_file_stream(file));
	output_file_abort(file);
	assert_content(path, "old");
	assert_int_equal(empty_folder(), 1);
	output_file_abort(NULL);
}

/* A limit on file sizes stands for a full disk: both fail in write(), after a part was written. */
static void a_full_disk_keeps_the_old_file(void **state)
{
	struct rlimit limit, tiny;
	struct output_file *file;
	void (*old_handler)(int);
	int result;

	(void)state;
	write_file(path, "old");
	file = output_file_open(path, &err);
	assert_non_null(file);
	old_handler = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	tiny = limit;
	tiny.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	for (int i = 0; i < 100000; i++)
		fputs("0123456789", output_file_stream(file));
	result = output_file_commit(file, &err);
	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, old_handler);
	assert_int_equal(result, -1);
	assert_int_equal(err.code, ERROR_SYSTEM);
	assert_non_null(strstr(err.message, path));
	assert_content(path, "old");
	assert_int_equal(empty_folder(), 1);
}

static void a_failure_before_commit_is_not_forgotten(void **state)
{
	struct rlimit limit, tiny;
	struct output_file *file;
	void (*old_handler)(int);

	(void)state;
	file = output_file_open(path, &err);
	assert_non_null(file);
	old_handler = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	tiny = limit;
	tiny.rlim_cur = 8;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	fputs("more than eight bytes", output_file_stream(file));
	assert_int_equal(fflush(output_file_stream(file)), EOF);
	setrlimit(RLIMIT_FSIZE, &limit); /* there is room again: what was lost meanwhile stays lost */
	signal(SIGXFSZ, old_handler);
	assert_int_equal(output_file_commit(file, &err), -1);
	assert_int_equal(empty_folder(), 0);
}

static void devices_are_written_directly(void **state)
{
	struct output_file *file = output_file_open("/dev/null", &err);

	(void)state;
	assert_non_null(file);
	fputs("gone", output_file_stream(file));
	assert_int_equal(output_file_commit(file, &err), 0);

	file = output_file_open("/dev/full", &err);
	assert_non_null(file);
	fputs("no room", output_file_stream(file));
	assert_int_equal(output_file_commit(file, &err), -1);
	assert_int_equal(err.code, ERROR_SYSTEM);
	assert_non_null(strstr(err.message, "/dev/full"));
	assert_non_null(strstr(err.message, strerror(ENOSPC)));
}

static void a_fifo_is_written_directly(void **state)
{
	struct output_file *file;
	char text[16] = "";
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	file = output_file_open(path, &err);
	assert_non_null(file);
	fputs("through", output_file_stream(file));
	assert_int_equal(output_file_commit(file, &err), 0);
	assert_int_equal(read(reader, text, sizeof(text) - 1), 7);
	close(reader);
	assert_string_equal(text, "through");
}

static void a_link_stays_and_its_target_is_replaced(void **state)
{
	struct output_file *file;
	char link_path[PATH_MAX];
	struct stat status;

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	write_file(path, "old");
	assert_int_equal(symlink("report", link_path), 0);
	file = output_file_open(link_path, &err);
	assert_non_null(file);
	fputs("new", output_file_stream(file));
	assert_int_equal(output_file_commit(file, &err), 0);
	assert_int_equal(lstat(link_path, &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	assert_content(path, "new");

	assert_int_equal(unlink(path), 0);
	assert_null(output_file_open(link_path, &err));
	assert_non_null(strstr(err.message, "symbolic link"));
}

static void impossible_places_are_known_at_once(void **state)
{
	char name[PATH_MAX];

	(void)state;
	snprintf(name, sizeof(name), "%s/missing/report", folder);
	assert_null(output_file_open(name, &err));
	assert_non_null(strstr(err.message, name));
	assert_null(output_file_open(folder, &err));
	snprintf(name, sizeof(name), "%s/new/", folder);
	assert_null(output_file_open(name, &err));
	assert_null(output_file_open("", &err));
	snprintf(name, sizeof(name), "%s/%0300d", folder, 0);
	struct output_file *file = output_file_open(name, &err);

	if (file) /* the name is looked at by the kernel only at the end on some file systems */
		assert_int_equal(output_file_commit(file, &err), -1);
	assert_int_equal(empty_folder(), 0);
}

/* Run as somebody without privileges. Returns whether the place was refused for lack of permission. */
static bool refused_without_privileges(const char *name)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct error why = {0};

		if (geteuid() == 0 && (setegid(65534) || seteuid(65534)))
			_exit(3);
		if (output_file_open(name, &why))
			_exit(1);
		_exit(why.code == ERROR_UNSUPPORTED ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void missing_permission_is_known_at_once(void **state)
{
	char name[PATH_MAX];

	(void)state;
	snprintf(name, sizeof(name), "%s/new", folder);
	assert_int_equal(chmod(folder, 0555), 0);
	assert_true(refused_without_privileges(name));
	assert_int_equal(chmod(folder, 0777), 0);
	/* A file that is protected is not replaced only because its folder would allow it. */
	write_file(path, "old");
	assert_int_equal(chmod(path, 0444), 0);
	assert_true(refused_without_privileges(path));
	assert_int_equal(chmod(folder, 0700), 0);
	assert_content(path, "old");
}

static void a_killed_writer_leaves_nothing(void **state)
{
	int ready[2], status, probe;
	char byte;
	pid_t child;

	(void)state;
	probe = open(folder, O_TMPFILE | O_WRONLY, 0600);
	if (probe < 0)
		skip(); /* this file system cannot do it; a hidden file may then stay */
	close(probe);
	write_file(path, "old");
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct output_file *file = output_file_open(path, NULL);

		if (!file || fputs("half", output_file_stream(file)) < 0 ||
			fflush(output_file_stream(file)) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_content(path, "old");
	assert_int_equal(empty_folder(), 1);
}

/* In a child, since it changes the standard output: what is written there must not be replaced by a new file.
 */
static void standard_output_is_written_in_place(void **state)
{
	static const char *const names[] = {"-", "/dev/stdout"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		pid_t child;
		int status;

		fflush(stdout);
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			struct output_file *file;

			if (!freopen(path, "w", stdout) || printf("text,") < 0)
				_exit(1);
			file = output_file_open(names[i], NULL);
			if (!file || fputs("json,", output_file_stream(file)) < 0 ||
				output_file_commit(file, NULL))
				_exit(2);
			if (printf("more") < 0 || fflush(stdout))
				_exit(3);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_content(path, "text,json,more");
		assert_int_equal(empty_folder(), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_file_appears_at_commit, before_each),
		cmocka_unit_test_setup(an_old_file_is_replaced_and_keeps_its_mode, before_each),
		cmocka_unit_test_setup(an_owner_is_kept_outside_shared_folders, before_each),
		cmocka_unit_test_setup(abort_leaves_no_trace, before_each),
		cmocka_unit_test_setup(a_full_disk_keeps_the_old_file, before_each),
		cmocka_unit_test_setup(a_failure_before_commit_is_not_forgotten, before_each),
		cmocka_unit_test_setup(devices_are_written_directly, before_each),
		cmocka_unit_test_setup(a_fifo_is_written_directly, before_each),
		cmocka_unit_test_setup(a_link_stays_and_its_target_is_replaced, before_each),
		cmocka_unit_test_setup(impossible_places_are_known_at_once, before_each),
		cmocka_unit_test_setup(missing_permission_is_known_at_once, before_each),
		cmocka_unit_test_setup(a_killed_writer_leaves_nothing, before_each),
		cmocka_unit_test_setup_teardown(
			standard_output_is_written_in_place, before_each, before_each),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
