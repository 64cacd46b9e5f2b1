// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <elf.h>

#include "elf/unwind_cache.h"
#include "elf/unwind_cache_file.h"
#include "unwind_check.h"

static const char source[] = "int callee(int);\nint first(int x) { return callee(x) + 1; }\n"
			     "int second(int x) { return callee(x) + callee(x + 1); }\n";

static void compile(const char *name, const char *flags)
{
	write_text("cached.c", source);
	run_command("gcc -shared -fPIC -nostdlib %s cached.c -o %s", flags, name);
}

/* Whatever is in the cache, what comes out is what would be built. */
static void check_get(const char *name)
{
	struct elf_file *file = open_elf(name, "");
	struct unwind_rows rows, expected;
	struct error err = {0};

	assert_int_equal(unwind_rows_build(file, &expected, &err), 0);
	assert_true(expected.rows.count > 4);
	if (unwind_rows_get(file, &rows, &err))
		fail_msg("%s", err.message);
	assert_same_rows(&rows, &expected);
	unwind_rows_free(&rows);
	unwind_rows_free(&expected);
	elf_file_close(file);
}

/* @return the number of entries of a directory, 0 when there is no such one; the last one's path is put to
 * `path` */
static size_t list(const char *directory, char path[4096])
{
	DIR *stream = opendir(directory);
	const struct dirent *entry;
	size_t count = 0;

	while (stream && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		if (path)
			snprintf(path, 4096, "%s/%s", directory, entry->d_name);
		count++;
	}
	if (stream)
		closedir(stream);
	return count;
}

/* Begin with an empty cache in a directory of this name. */
static void use_cache(const char *name)
{
	_cleanup_free_ char *here = getcwd(NULL, 0), *path = NULL;

	assert_true(asprintf(&path, "%s/%s", here, name) > 0);
	assert_int_equal(setenv("XDG_CACHE_HOME", path, 1), 0);
}

static struct stat status_of(const char *path)
{
	struct stat status;

	assert_int_equal(lstat(path, &status), 0);
	return status;
}

static void test_hit(void **state)
{
	char path[4096], again[4096];
	struct stat made, used;

	(void)state;
	use_cache("hit");
	compile("hit.so", "");
	check_get("hit.so");
	assert_int_equal(list("hit/leaktop", path), 1);
	made = status_of(path);
	assert_int_equal(made.st_mode, S_IFREG | 0600);
	assert_int_equal(status_of("hit/leaktop").st_mode, S_IFDIR | 0700);
	check_get("hit.so");
	assert_int_equal(list("hit/leaktop", again), 1);
	assert_string_equal(path, again);
	used = status_of(path);
	/* A file that was built anew would have replaced it. */
	assert_int_equal(used.st_ino, made.st_ino);
	assert_true(
		used.st_mtim.tv_sec > made.st_mtim.tv_sec ||
		(used.st_mtim.tv_sec == made.st_mtim.tv_sec && used.st_mtim.tv_nsec >= made.st_mtim.tv_nsec));
}

static void assert_repaired(const char *path, const unsigned char *good, size_t size)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	size_t now;

	check_get("corrupt.so");
	bytes = read_file(path, &now);
	assert_int_equal(now, size);
	assert_memory_equal(bytes, good, size);
}

static void test_corrupt_files_are_replaced(void **state)
{
	_cleanup_free_ unsigned char *good = NULL, *bad = NULL;
	char path[4096];
	size_t size;

	(void)state;
	use_cache("corrupt");
	compile("corrupt.so", "");
	check_get("corrupt.so");
	assert_int_equal(list("corrupt/leaktop", path), 1);
	good = read_file(path, &size);
	bad = malloc(size + 8);
	assert_non_null(bad);
	for (size_t i = 0; i < size; i++) {
		memcpy(bad, good, size);
		bad[i] ^= (unsigned char)(1 << i % 8);
		write_file(path, bad, size);
		assert_repaired(path, good, size);
		write_file(path, good, i);
		assert_repaired(path, good, size);
	}
	memset(bad + size, 0, 8);
	write_file(path, bad, size + 8);
	assert_repaired(path, good, size);
	assert_int_equal(list("corrupt/leaktop", NULL), 1);
}

/* The same call frame information, for code that lies elsewhere. */
static void move_code(unsigned char *bytes, size_t size)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
	Elf64_Phdr *segments = (Elf64_Phdr *)(bytes + header->e_phoff);

	assert_true(size > sizeof(*header));
	for (size_t i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && segments[i].p_flags & PF_X)
			segments[i].p_offset -= 16;
}

/* One number in the call frame information is another: the CFA's offset after a push. */
static void change_frame(unsigned char *bytes, size_t size)
{
	static const unsigned char pushed[] = {0x0e, 16, 0x86, 2};
	unsigned char *found = memmem(bytes, size, pushed, sizeof(pushed));

	assert_non_null(found);
	found[1] = 24;
}

static void test_same_build_id(void **state)
{
	static void (*const changes[])(unsigned char *bytes, size_t size) = {move_code, change_frame};

	(void)state;
	use_cache("twins");
	compile("twin.so", "-O0 -fno-omit-frame-pointer");
	check_get("twin.so");
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		_cleanup_free_ unsigned char *bytes = NULL;
		size_t size;

		bytes = read_file("twin.so", &size);
		changes[i](bytes, size);
		write_file("other.so", bytes, size);
		check_get("other.so");
		check_get("twin.so");
		assert_int_equal(list("twins/leaktop", NULL), i + 2);
	}
}

static void test_without_build_id(void **state)
{
	(void)state;
	use_cache("nameless");
	compile("nameless.so", "-Wl,--build-id=none");
	run_command("cp nameless.so copy.so");
	check_get("nameless.so");
	check_get("nameless.so");
	assert_int_equal(list("nameless/leaktop", NULL), 1);
	check_get("copy.so");
	assert_int_equal(list("nameless/leaktop", NULL), 2);
}

static void test_where_nothing_can_be_written(void **state)
{
	(void)state;
	compile("plain.so", "");
	write_text("occupied", "");
	use_cache("occupied");
	check_get("plain.so");
	use_cache("missing/directory");
	check_get("plain.so");
	assert_int_equal(access("missing", F_OK), -1);
	assert_int_equal(setenv("XDG_CACHE_HOME", "/proc", 1), 0);
	check_get("plain.so");
	/* Others could write there. */
	assert_int_equal(mkdir("shared", 0700), 0);
	assert_int_equal(chmod("shared", 0777), 0);
	use_cache("shared");
	check_get("plain.so");
	assert_int_equal(list("shared", NULL), 0);
	/* Somebody else's. */
	if (geteuid() == 0) {
		assert_int_equal(mkdir("foreign", 0755), 0);
		assert_int_equal(mkdir("foreign/leaktop", 0755), 0);
		assert_int_equal(chown("foreign/leaktop", 65534, 65534), 0);
		use_cache("foreign");
		check_get("plain.so");
		assert_int_equal(list("foreign/leaktop", NULL), 0);
	}
}

static void test_below_home(void **state)
{
	_cleanup_free_ char *here = getcwd(NULL, 0), *home = NULL;

	(void)state;
	compile("home.so", "");
	assert_true(asprintf(&home, "%s/home", here) > 0);
	assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
	assert_int_equal(setenv("HOME", home, 1), 0);
	check_get("home.so");
	assert_int_equal(access("home", F_OK), -1);
	assert_int_equal(mkdir("home", 0755), 0);
	check_get("home.so");
	assert_int_equal(list("home/.cache/leaktop", NULL), 1);
	/* A relative path there is to be ignored. */
	assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
	check_get("home.so");
	assert_int_equal(access("relative", F_OK), -1);
}

static void test_links_are_not_followed(void **state)
{
	char path[4096];

	(void)state;
	use_cache("linked");
	compile("linked.so", "");
	check_get("linked.so");
	assert_int_equal(list("linked/leaktop", path), 1);
	/* A link to what would be valid, and that must be neither read nor written. */
	assert_int_equal(rename(path, "victim"), 0);
	assert_int_equal(symlink("../../victim", path), 0);
	run_command("cp victim victim.before && touch -d 2000-01-01 victim");
	check_get("linked.so");
	assert_int_equal(status_of(path).st_mode, S_IFREG | 0600);
	run_command("cmp -s victim victim.before");
	assert_true(status_of("victim").st_mtim.tv_sec < 1000000000);
	/* The directory itself. */
	assert_int_equal(mkdir("tempting", 0700), 0);
	assert_int_equal(mkdir("redirected", 0700), 0);
	assert_int_equal(symlink("../tempting", "redirected/leaktop"), 0);
	use_cache("redirected");
	check_get("linked.so");
	assert_int_equal(list("tempting", NULL), 0);
}

static void make_old(const char *path, off_t size, time_t when)
{
	const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

	write_text(path, "");
	assert_int_equal(truncate(path, size), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_size_is_bounded(void **state)
{
	const off_t third = (off_t)(UNWIND_CACHE_SIZE / 3);

	(void)state;
	use_cache("full");
	compile("full.so", "");
	assert_int_equal(mkdir("full", 0700), 0);
	assert_int_equal(mkdir("full/leaktop", 0700), 0);
	make_old("full/leaktop/rows-b", third, 3000);
	make_old("full/leaktop/rows-a", third, 2000);
	make_old("full/leaktop/rows-c", third, 4000);
	make_old("full/leaktop/other", third, 1000);
	check_get("full.so");
	assert_int_equal(access("full/leaktop/rows-a", F_OK), -1);
	assert_int_equal(access("full/leaktop/rows-b", F_OK), 0);
	assert_int_equal(access("full/leaktop/rows-c", F_OK), 0);
	assert_int_equal(access("full/leaktop/other", F_OK), 0);
	assert_int_equal(list("full/leaktop", NULL), 4);
}

/* A file that is whole, but was written by somebody with other ideas. */
static void test_invalid_rows_are_not_loaded(void **state)
{
	struct {
		struct unwind_row rows[2];
		uint64_t rules[2];
		bool valid;
	} cases[] = {
		{{{16, 0}, {32, 1}}, {0, 1 | 1 << 24}, true},
		{{{32, 0}, {32, 1}}, {0, 1 | 1 << 24}, false},
		{{{32, 0}, {16, 1}}, {0, 1 | 1 << 24}, false},
		{{{16, 0}, {32, 2}}, {0, 1 | 1 << 24}, false},
		{{{16, 0}, {32, 0}}, {0, 1 | 1 << 24}, false},
		{{{16, 0}, {32, 1}}, {0, UNWIND_KINDS}, false},
		{{{16, 0}, {32, 1}}, {0, 1 | 1ULL << UNWIND_RULE_BITS}, false},
	};
	int directory;

	(void)state;
	use_cache("invalid");
	directory = unwind_cache_open();
	assert_true(directory >= 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct unwind_rows rows = {
			.rows = {.items = cases[i].rows, .count = 2},
			.rules = {.items = cases[i].rules, .count = 2},
		};
		struct unwind_rows read;

		unwind_cache_store(directory, "rows-x", 7, &rows);
		assert_int_equal(unwind_cache_load(directory, "rows-x", 7, &read), cases[i].valid);
		unwind_rows_free(&read);
		assert_false(unwind_cache_load(directory, "rows-x", 8, &read));
		assert_false(unwind_cache_load(directory, "rows-y", 7, &read));
	}
	close(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hit),
		cmocka_unit_test(test_corrupt_files_are_replaced),
		cmocka_unit_test(test_same_build_id),
		cmocka_unit_test(test_without_build_id),
		cmocka_unit_test(test_where_nothing_can_be_written),
		cmocka_unit_test(test_below_home),
		cmocka_unit_test(test_links_are_not_followed),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_invalid_rows_are_not_loaded),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
