// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/walker/walker.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/tracer_internal.h"
#include "proc/maps.h"
#include "report/stack.h"

#include "heap.skel.h"
#include "walker.skel.h"

#define MAX_STACKS	  4096
#define FIRST_CODE_NUMBER (1U << 20)
#define GUARD		  (1U << 20)  /* bytes on both sides of the stack that are not mapped */
#define STACK_BELOW	  (64U << 10) /* bytes below `stack`: a signal's frame has room there */
#define STACK_ABOVE	  (9U << 20)

struct code code;
struct stage stage;
uint64_t *stack, *stack_start, *stack_end;
struct tracer *tracer;
const struct tracer_tables *tables;

static struct walker_bpf *skeleton;
static struct bpf_link *links[2];
static char *memory; /* the stack with what is around it */

/* The tables that the tests fill and read, by leaktop's own code. */
static const char *const shared_maps[] = {"process_of_tgid", "processes", "files", "file_of_inode", "rows",
	"rules", "events", "sites", "stacks", "site_of_id"};

static int share_maps(void)
{
	for (size_t i = 0; i < sizeof(shared_maps) / sizeof(shared_maps[0]); i++) {
		struct bpf_map *ours = bpf_object__find_map_by_name(skeleton->obj, shared_maps[i]);
		struct bpf_map *theirs = bpf_object__find_map_by_name(tracer->skeleton->obj, shared_maps[i]);

		if (!ours || !theirs || bpf_map__reuse_fd(ours, bpf_map__fd(theirs)))
			return -1;
	}
	return 0;
}

/* Place a probe on a function of this program. */
static struct bpf_link *place(const struct bpf_program *program, void (*function)(void), struct error *err)
{
	uint64_t address = (uint64_t)(uintptr_t)function;
	struct proc_maps maps = {0};
	const struct proc_map *map;
	struct bpf_link *link;

	if (proc_maps_read(getpid(), &maps, err))
		return NULL;
	map = proc_maps_find(&maps, address);
	link = !map ? NULL
		    : bpf_program__attach_uprobe(
			      program, false, getpid(), "/proc/self/exe", address - map->start + map->offset);
	if (!link)
		error_set_errno(err, errno, "cannot place a probe");
	proc_maps_free(&maps);
	return link;
}

static int load(struct error *err)
{
	const struct tracer_options options = {
		.max_blocks = 1, .max_stacks = MAX_STACKS, .max_rows = 1U << 16};

	tracer = tracer_load(&options, err);
	if (!tracer)
		return -1;
	tables = tracer_tables(tracer);
	skeleton = walker_bpf__open();
	if (!skeleton)
		return error_set_errno(err, errno, "cannot open the programs");
	skeleton->rodata->max_stacks = MAX_STACKS;
	/* Files are put into the table by the tracer alone, which counts them. */
	skeleton->bss->file_count = MAX_FILES;
	/* The tracer has given out some. */
	skeleton->bss->code_numbers = FIRST_CODE_NUMBER;
	if (share_maps() || walker_bpf__load(skeleton))
		return error_set_errno(err, errno, "cannot load the programs into the kernel");
	return 0;
}

int scene_open(struct error *err)
{
	if (load(err) || tracer_add_process(tracer, getpid(), true, err) < 0)
		return -1;
	links[0] = place(skeleton->progs.probed, walker_probed, err);
	links[1] = place(skeleton->progs.changed, walker_changed, err);
	if (!links[0] || !links[1])
		return -1;
	memory = mmap(NULL, GUARD + STACK_BELOW + STACK_ABOVE + GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (memory == MAP_FAILED ||
		mprotect(memory + GUARD, STACK_BELOW + STACK_ABOVE, PROT_READ | PROT_WRITE))
		return error_set_errno(err, errno, "cannot make a stack");
	stack_start = (uint64_t *)(void *)(memory + GUARD);
	stack = stack_start + STACK_BELOW / 8;
	stack_end = stack + STACK_ABOVE / 8;
	return 0;
}

void scene_close(void)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		bpf_link__destroy(links[i]);
	walker_bpf__destroy(skeleton);
	tracer_free(tracer);
}

int scene_begin(void **state)
{
	(void)state;
	/* Also has every page there: the kernel side cannot wait for one. */
	for (uint64_t *at = stack_start; at < stack_end; at++)
		*at = GARBAGE;
	code = code_new(0);
	stage = (struct stage){.ip = in_rule(0),
		.sp = word(stack),
		.bp = GARBAGE,
		.bx = GARBAGE,
		.target = (uint64_t)(uintptr_t)walker_probed};
	/* What the last test's code was at these addresses is forgotten. */
	walker_changed();
	return 0;
}

int scene_end(void **state)
{
	(void)state;
	code_free(&code);
	return 0;
}

struct code code_new(uint64_t where)
{
	struct code new = {.fd = memfd_create("walker", MFD_CLOEXEC)};
	void *start, *wanted = (void *)(uintptr_t)where;
	struct stat status;

	assert_true(new.fd >= 0);
	assert_int_equal(ftruncate(new.fd, CODE_OFFSET + CODE_SIZE), 0);
	assert_int_equal(fstat(new.fd, &status), 0);
	start = mmap(wanted, CODE_SIZE, PROT_READ | PROT_EXEC,
		MAP_SHARED | MAP_POPULATE | (where ? MAP_FIXED : 0), new.fd, CODE_OFFSET);
	assert_true(start != MAP_FAILED);
	new.start = word(start);
	new.file = tracer_file(tracer, status.st_ino, status.st_dev);
	assert_true(new.file < MAX_FILES);
	return new;
}

void code_free(struct code *old)
{
	munmap((void *)(uintptr_t)old->start, CODE_SIZE);
	close(old->fd);
}

void code_write(const struct code *into, uint64_t offset, const void *bytes, size_t size)
{
	assert_int_equal(pwrite(into->fd, bytes, size, (off_t)(CODE_OFFSET + offset)), size);
}

void code_give_rows(const struct code *to, const struct unwind_row *rows, size_t row_count,
	const uint64_t *rules, size_t rule_count)
{
	struct unwind_row own_rows[CODE_SIZE / RULE_SIZE];
	uint64_t own_rules[CODE_SIZE / RULE_SIZE];
	struct unwind_rows given = {
		.rows = {.items = own_rows, .count = row_count},
		.rules = {.items = own_rules, .count = rule_count},
	};
	uint32_t first;

	assert_in_range(row_count, 1, CODE_SIZE / RULE_SIZE);
	assert_in_range(rule_count, 1, CODE_SIZE / RULE_SIZE);
	memcpy(own_rules, rules, rule_count * sizeof(*rules));
	for (size_t i = 0; i < row_count; i++) {
		own_rows[i] = rows[i];
		own_rows[i].offset += CODE_OFFSET;
	}
	assert_int_equal(tracer_place_rows(tracer, &given, &first), 0);
	tracer_give_rows(tracer, to->file, ROWS_LOADED, first, (uint32_t)row_count);
}

void use_rules_(const uint64_t *rules, size_t count)
{
	struct unwind_row rows[CODE_SIZE / RULE_SIZE] = {0};

	assert_in_range(count, 1, CODE_SIZE / RULE_SIZE);
	for (uint32_t i = 0; i < count; i++)
		rows[i] = (struct unwind_row){.offset = i * RULE_SIZE, .rule = i};
	code_give_rows(&code, rows, count, rules, count);
}

uint64_t in_rule(unsigned int i)
{
	return code.start + i * RULE_SIZE + RULE_SIZE / 4;
}

uint64_t rule_bp(enum unwind_kind kind, int64_t offset, enum unwind_saved bp, int64_t bp_offset)
{
	return unwind_rule(kind, offset, bp, bp_offset, SAVED_NOT, 0);
}

uint64_t rule(enum unwind_kind kind, int64_t offset)
{
	return rule_bp(kind, offset, SAVED_NOT, 0);
}

/* Whoever places probes in libraries that this program has mapped, too, locks its mappings for a moment: walk
 * again then. */
static const struct walked *go(void)
{
	const struct walked *walked = &skeleton->bss->walked;

	for (int i = 0; i < 1000; i++) {
		uint32_t runs = walked->runs;

		walker_stage(&stage);
		assert_int_equal(walked->runs, runs + 1);
		if (walked->end != STACK_BUSY)
			break;
	}
	return walked;
}

const struct walked *walk(void)
{
	skeleton->bss->book = false;
	return go();
}

const struct walked *book(enum domain domain)
{
	skeleton->bss->book = true;
	skeleton->bss->domain = domain;
	return go();
}

void cache_change(uint64_t address, uint64_t key_change, uint64_t change)
{
	const struct bpf_map *cache = skeleton->maps.rule_cache;
	const uint64_t mask = (1ULL << 47) - 1;
	struct {
		uint64_t key, rule;
	} cached;
	int found = 0;

	/* Those of earlier code numbers are of no use any more; changing them does no harm. */
	for (uint32_t slot = 0; slot < bpf_map__max_entries(cache); slot++) {
		assert_int_equal(
			bpf_map__lookup_elem(cache, &slot, sizeof(slot), &cached, sizeof(cached), 0), 0);
		if ((cached.key & mask) != address)
			continue;
		cached.key ^= key_change;
		cached.rule ^= change;
		assert_int_equal(
			bpf_map__update_elem(cache, &slot, sizeof(slot), &cached, sizeof(cached), 0), 0);
		found++;
	}
	assert_true(found > 0);
}

struct lost walker_lost(void)
{
	return skeleton->bss->lost;
}

static void print_stack(const char *what, uint32_t end, const uint64_t *frames, size_t count)
{
	const char *name = stack_end_name((enum stack_end)end);

	print_error("%s: %zu frames, %s\n", what, count, name ? name : "complete");
	for (size_t i = 0; i < count; i++)
		print_error("\tcode + %#llx%s\n", (frames[i] & ~FRAME_INTERRUPTED) - code.start,
			frames[i] & FRAME_INTERRUPTED ? ", interrupted" : "");
}

void assert_walk_(enum stack_end end, const uint64_t *frames, size_t count, const char *file, int line)
{
	const struct walked *found = walk();

	if (found->end == end && found->count == count &&
		!memcmp(found->frames, frames, count * sizeof(*frames)))
		return;
	print_stack("expected", end, frames, count);
	print_stack("found", found->end, (const uint64_t *)found->frames, found->count);
	_fail(file, line);
}
