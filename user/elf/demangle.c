// SPDX-License-Identifier: GPL-2.0-or-later
#include <libiberty/demangle.h>

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "elf/symbolize.h"

#define MANGLED_MAX   (64 << 10)
#define DEMANGLED_MAX (64 << 10)

/* What libiberty's pieces of output are put together in. */
struct output {
	char *text;
	size_t length, capacity;
	bool out_of_memory;
	jmp_buf too_long;
};

static int output_reserve(struct output *output, size_t length)
{
	size_t capacity = output->capacity ? output->capacity : 256;
	char *text;

	while (capacity < length)
		capacity *= 2;
	if (capacity == output->capacity)
		return 0;
	text = realloc(output->text, capacity);
	if (!text)
		return -1;
	output->text = text;
	output->capacity = capacity;
	return 0;
}

/*
 * A mangled name may refer back to its own parts, so that a few hundred bytes of it stand for gigabytes, and
 * libiberty has no way to be told to stop. It holds no memory of its own while it calls here (but for the
 * buffer of a Rust identifier in punycode, which is lost then), so leaving by a jump is safe.
 */
static void output_append(const char *piece, size_t length, void *data)
{
	struct output *output = data;

	if (length > DEMANGLED_MAX - output->length)
		longjmp(output->too_long, 1);
	if (output_reserve(output, output->length + length + 1)) {
		output->out_of_memory = true;
		longjmp(output->too_long, 1);
	}
	memcpy(output->text + output->length, piece, length);
	output->length += length;
	output->text[output->length] = '\0';
}

/* Parameters tell overloads apart; the return type of a template function only makes the line longer. */
static bool demangle_any(const char *name, struct output *output)
{
	const int options = DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP;

	if (setjmp(output->too_long))
		return false;
	/* Old Rust names look like C++ ones with a hash as their last part. */
	if (rust_demangle_callback(name, options, output_append, output))
		return true;
	output->length = 0;
	return cplus_demangle_v3_callback(name, options, output_append, output);
}

static bool is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R') &&
	       strnlen(name, MANGLED_MAX + 1) <= MANGLED_MAX;
}

char *demangle(const char *name)
{
	struct output output = {0};

	if (!is_mangled(name))
		return strdup(name);
	if (demangle_any(name, &output) && output.length)
		return output.text;
	free(output.text);
	return output.out_of_memory ? NULL : strdup(name);
}
