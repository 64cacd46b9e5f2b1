// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/maps.h"
#include "proc/process.h"

static void test_own_code_is_found(void **state)
{
	uint64_t address = (uint64_t)(uintptr_t)test_own_code_is_found;
	struct proc_maps maps = {0};
	const struct proc_map *map;
	struct stat mapped, executable;
	int fd;

	(void)state;
	assert_int_equal(proc_maps_read(getpid(), &maps, NULL), 0);
	map = proc_maps_find(&maps, address);
	assert_non_null(map);
	assert_true(map->start <= address && address < map->end && map->executable);
	fd = proc_map_open(getpid(), map, NULL);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &mapped), 0);
	assert_int_equal(stat("/proc/self/exe", &executable), 0);
	assert_true(mapped.st_ino == executable.st_ino && mapped.st_dev == executable.st_dev);
	assert_int_equal(map->inode, executable.st_ino);
	assert_true(map->device != 0);
	close(fd);
	proc_maps_free(&maps);
}

static void test_ended(void **state)
{
	siginfo_t info;
	int hold[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(hold), 0);
	child = fork();
	if (!child) {
		char byte;

		close(hold[1]);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
	}
	assert_true(child > 0);
	assert_false(proc_has_ended(child));
	close(hold[0]);
	close(hold[1]);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_true(proc_has_ended(child)); /* a zombie */
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(proc_has_ended(child)); /* gone */
}

static void test_edges_of_mappings(void **state)
{
	struct proc_map items[] = {
		{.start = 100, .end = 200}, {.start = 200, .end = 300}, {.start = 400, .end = 500}};
	struct proc_maps maps = {.items = items, .count = 3};

	(void)state;
	assert_null(proc_maps_find(&maps, 99));
	assert_ptr_equal(proc_maps_find(&maps, 100), &items[0]);
	assert_ptr_equal(proc_maps_find(&maps, 199), &items[0]);
	assert_ptr_equal(proc_maps_find(&maps, 200), &items[1]);
	assert_null(proc_maps_find(&maps, 300));
	assert_ptr_equal(proc_maps_find(&maps, 499), &items[2]);
	assert_null(proc_maps_find(&maps, 500));
}

/* A name that tries to look like something else, and a file that is gone: still opened, by what is mapped. */
static void test_odd_and_deleted_names(void **state)
{
	static const char name[] = "/tmp/leaktop test\nname";
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600), opened;
	const struct proc_map *map;
	struct proc_maps maps = {0};
	void *memory;
	char byte = 0;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	memory = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(memory != MAP_FAILED);
	close(fd);
	unlink(name);
	assert_int_equal(proc_maps_read(getpid(), &maps, NULL), 0);
	map = proc_maps_find(&maps, (uint64_t)(uintptr_t)memory);
	assert_non_null(map);
	assert_string_equal(map->path, name);
	opened = proc_map_open(getpid(), map, NULL);
	if (geteuid() == 0) { /* map_files needs the privilege; without it the file is rightly not found */
		assert_true(opened >= 0);
		assert_int_equal(read(opened, &byte, 1), 1);
		assert_int_equal(byte, 'x');
		close(opened);
	}
	munmap(memory, 1);
	proc_maps_free(&maps);
}

static void test_untraceable_processes(void **state)
{
	struct error err = {0};
	pid_t child, thread_leader = getpid();

	(void)state;
	assert_int_equal(proc_check_traceable(thread_leader, &err), 0);
	assert_int_equal(proc_check_traceable(1 << 22, &err), -1);
	assert_int_equal(err.code, ERROR_GONE);
	assert_int_equal(proc_check_traceable(2, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "kernel thread"));
	child = fork();
	if (!child)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_check_traceable(child, &err), -1);
	assert_int_equal(err.code, ERROR_GONE);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_memory_limits(void **state)
{
	struct rlimit limit = {.rlim_cur = 1UL << 40, .rlim_max = RLIM_INFINITY};
	pid_t child;
	int status;

	(void)state;
	child = fork();
	if (!child) {
		setrlimit(RLIMIT_AS, &limit);
		_exit(proc_memory_is_limited(getpid()) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(proc_machine_memory() > 1 << 20);
}

static void test_listing_by_name(void **state)
{
	char comm[PROC_COMM_SIZE];
	struct pid_list pids = {0};
	int ready[2], done[2], found = 0;
	pid_t child;
	char word;

	(void)state;
	assert_int_equal(pipe(ready) | pipe(done), 0);
	child = fork();
	if (!child) {
		FILE *file = fopen("/proc/self/comm", "w");

		fputs("leaktop-listed", file);
		fclose(file);
		if (write(ready[1], "", 1) == 1 && read(done[0], &word, 1) == 1)
			_exit(0);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &word, 1), 1);
	assert_int_equal(proc_comm(child, comm), 0);
	assert_string_equal(comm, "leaktop-listed");
	assert_int_equal(proc_list("leaktop-listed", NULL, &pids, NULL), 0);
	for (size_t i = 0; i < pids.count; i++)
		found += pids.items[i] == child;
	assert_int_equal(found, 1);
	assert_int_equal(pids.count, 1);
	assert_int_equal(write(done[1], "", 1), 1);
	assert_int_equal(waitpid(child, NULL, 0), child);
	array_free(&pids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_code_is_found),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_edges_of_mappings),
		cmocka_unit_test(test_odd_and_deleted_names),
		cmocka_unit_test(test_untraceable_processes),
		cmocka_unit_test(test_memory_limits),
		cmocka_unit_test(test_listing_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
