// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * unwind_rows FILE: how long it takes to make the unwind rows of an ELF file, and to get them when the cache
 * has them and when it has not, in milliseconds; as one JSON object. Point XDG_CACHE_HOME to an empty
 * directory. Opening the file is no part of it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "elf/elf_file.h"
#include "elf/unwind_cache.h"
#include "elf/unwind_rows.h"

typedef int (*rows_function)(struct elf_file *file, struct unwind_rows *rows, struct error *err);

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Each time with a file opened anew, so that nothing is left over from the last one. @return ms; < 0 failed
 */
static double time_rows(int fd, const char *path, rows_function function, struct unwind_rows *rows)
{
	struct error err = {0};
	struct elf_file *file = elf_file_open(fd, path, "", &err);
	double milliseconds = -1, start = now_ms();

	if (file && !function(file, rows, &err))
		milliseconds = now_ms() - start;
	else
		fprintf(stderr, "unwind_rows: %s\n", err.message);
	elf_file_close(file);
	return milliseconds;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		rows_function function;
	} runs[] = {
		{"build_ms", unwind_rows_build}, /* the first one also fetches the file's pages */
		{"build_ms", unwind_rows_build},
		{"cold_ms", unwind_rows_get},
		{"warm_ms", unwind_rows_get},
	};
	struct unwind_rows rows = {0};
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0) {
		fputs("usage: unwind_rows FILE\n", stderr);
		return 2;
	}
	putchar('{');
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		double milliseconds;

		unwind_rows_free(&rows);
		rows = (struct unwind_rows){0};
		milliseconds = time_rows(fd, argv[1], runs[i].function, &rows);
		if (milliseconds < 0)
			return 1;
		if (i)
			printf("\"%s\": %.2f, ", runs[i].name, milliseconds);
	}
	printf("\"rows\": %zu, \"rules\": %zu, \"bytes\": %zu}\n", rows.rows.count, rows.rules.count,
		rows.rows.count * sizeof(rows.rows.items[0]) +
			rows.rules.count * sizeof(rows.rules.items[0]));
	unwind_rows_free(&rows);
	close(fd);
	return 0;
}
