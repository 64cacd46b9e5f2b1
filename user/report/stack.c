// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/stack.h"

#include <fnmatch.h>
#include <string.h>

#include "report/function_name.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Functions that allocate on behalf of their caller. A new one is a line here. */
static const char *const allocating_functions[] = {
	/* C */
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"reallocf",
	"free",
	"posix_memalign",
	"aligned_alloc",
	"memalign",
	"valloc",
	"pvalloc",
	"strdup",
	"strndup",
	"wcsdup",
	"asprintf",
	"vasprintf",
	"getline",
	"getdelim",
	"mmap",
	"mmap64",
	"mremap",
	"brk",
	"sbrk",
	"__libc_*alloc*",
	"__GI_*",
	"__strdup",
	"__strndup",
	"__mmap*",
	"je_*",
	"tc_*",
	"mi_*",
	"_mi_*",
	"sdallocx",
	"mallocx",
	"rallocx",
	"do_malloc*",
	"tcmalloc::*",
	/* libraries' wrappers of them */
	"xmalloc",
	"xcalloc",
	"xzalloc",
	"xrealloc",
	"xreallocarray",
	"xnmalloc",
	"xstrdup",
	"xstrndup",
	"xasprintf",
	"xmemdup",
	"zmalloc*",
	"zcalloc*",
	"zrealloc*",
	"ztrymalloc*",
	"ztrycalloc*",
	"ztryrealloc*",
	"g_malloc*",
	"g_realloc*",
	"g_try_malloc*",
	"g_try_realloc*",
	"g_slice_alloc*",
	"g_strdup*",
	"g_strndup",
	"g_memdup*",
	"CRYPTO_malloc",
	"CRYPTO_zalloc",
	"CRYPTO_realloc",
	"CRYPTO_strdup",
	"sqlite3Malloc*",
	"sqlite3MemMalloc",
	"sqlite3MemRealloc",
	"sqlite3Realloc",
	"sqlite3_malloc*",
	"sqlite3_realloc*",
	"sqlite3DbMalloc*",
	"sqlite3DbRealloc*",
	"sqlite3DbStrDup",
	"sqlite3DbStrNDup",
	"dbMallocRaw*",
	"PyMem_*",
	"_PyMem_*",
	"PyObject_Malloc",
	"PyObject_Calloc",
	"PyObject_Realloc",
	"_PyObject_Malloc",
	"_PyObject_Calloc",
	"_PyObject_Realloc",
	"pymalloc_alloc*",
	"av_malloc*",
	"av_realloc*",
	"av_strdup",
	/* C++ */
	"operator new",
	"operator new\\[\\]",
	"std::*",
	"__gnu_cxx::*",
	"__cxxabiv1::*",
	"__cxa_*",
	"boost::container::*",
	"absl::*container_internal::*",
	/* Rust */
	"alloc::*",
	"<alloc::*",
	"core::*",
	"<core::*",
	"hashbrown::*",
	"<hashbrown::*",
	"__rust_*",
	"__rdl_*",
	"__rg_*",
	"<std::*",
};

/* Functions that the C library runs before a program's or a thread's first own one. */
static const char *const starting_functions[] = {
	"_start",
	"__libc_start_main*",
	"__libc_start_call_main*",
	"libc_start_main_stage2",
	"_dl_start_user",
	"start_thread",
	"clone",
	"clone3",
	"__clone",
	"__clone3",
	"__GI___clone*",
	"thread_start",
};

/* Libraries whose functions are nobody's own. Those which also offer much else (libglib) are not among them.
 */
static const char *const runtime_modules[] = {
	"libc.so*",
	"libc-*.so*",
	"libc.musl-*",
	"ld-linux*",
	"ld-musl-*",
	"ld-2*",
	"libpthread*.so*",
	"libdl*.so*",
	"libstdc++.so*",
	"libc++.so*",
	"libc++abi.so*",
	"libgcc_s*.so*",
	"libjemalloc*.so*",
	"libtcmalloc*.so*",
	"libmimalloc*.so*",
	"\\[vdso\\]",
};

static bool matches_any(const char *const *patterns, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (!fnmatch(patterns[i], text, 0))
			return true;
	}
	return false;
}

const char *path_file_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash && slash[1] ? slash + 1 : path;
}

static bool is_runtime_module(const struct profile_frame *frame)
{
	return frame->module &&
	       matches_any(runtime_modules, COUNT(runtime_modules), path_file_name(frame->module));
}

/* Does the frame's function, without return type and parameters, match a pattern? */
static bool function_matches(const struct profile_frame *frame, const char *const *patterns, size_t count)
{
	char name[256];
	const char *qualified;
	size_t length;

	if (!frame->function)
		return false;
	qualified = function_name_qualified(frame->function, &length);
	/* A longer name differs from all patterns within its first bytes or not at all. */
	if (length >= sizeof(name))
		length = sizeof(name) - 1;
	memcpy(name, qualified, length);
	name[length] = '\0';
	return matches_any(patterns, count, name);
}

static bool is_allocating(const struct profile_frame *frame)
{
	return function_matches(frame, allocating_functions, COUNT(allocating_functions));
}

static bool is_starting(const struct profile_frame *frame)
{
	if (!frame->function)
		return is_runtime_module(frame);
	return function_matches(frame, starting_functions, COUNT(starting_functions));
}

/* Is the outermost of these frames a nameless _start, as in a stripped program? Only that calls its callee.
 */
static bool is_nameless_start(const struct profile_frame *frames, size_t count)
{
	return count > 2 && !frames[count - 1].function && is_runtime_module(&frames[count - 2]) &&
	       is_starting(&frames[count - 2]);
}

struct stack_view stack_view(const struct profile_site *site)
{
	struct stack_view view = {.useful = 0, .end = site->frame_count};
	size_t allocating = 0; /* frames that are allocators by their names, at the inner end */

	if (!site->frames || !site->frame_count)
		return (struct stack_view){0};
	if (site->stack_end == STACK_COMPLETE && is_nameless_start(site->frames, view.end))
		view.end--;
	while (view.end > 1 && is_starting(&site->frames[view.end - 1]))
		view.end--;
	while (allocating < view.end && is_allocating(&site->frames[allocating]))
		allocating++;
	view.useful = allocating;
	while (view.useful < view.end &&
		(is_runtime_module(&site->frames[view.useful]) || is_allocating(&site->frames[view.useful])))
		view.useful++;
	/* All of it is the C library's: its first function that is no allocator is what there is to name. */
	if (view.useful == view.end)
		view.useful = allocating < view.end ? allocating : 0;
	return view;
}

const char *stack_end_name(enum stack_end end)
{
	static const char *const names[STACK_ENDS] = {
		[STACK_DEEP] = "too deep",
		[STACK_NO_CODE] = "no code",
		[STACK_NO_RULE] = "no unwind information",
		[STACK_UNSUPPORTED] = "unsupported unwind information",
		[STACK_UNREADABLE] = "unreadable memory",
		[STACK_BROKEN] = "broken frames",
		[STACK_BUSY] = "mappings busy",
		[STACK_PENDING] = "file not loaded yet",
		[STACK_SHORTENED] = "stack table nearly full",
	};

	return end < STACK_ENDS ? names[end] : "unknown";
}

uint64_t stacks_cut(const struct profile_stacks *stacks)
{
	uint64_t cut = 0;

	for (int end = STACK_COMPLETE + 1; end < STACK_ENDS; end++)
		cut += stacks->ends[end];
	return cut;
}
