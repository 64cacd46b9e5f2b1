/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A profile: what a tracing session found, as plain data, complete and resolved. Sessions make it, reports
 * print it; nothing in it refers to the kernel or to a process any more.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "bpf/types.h"
#include "elf/elf_file.h"
#include "model/leak_factor.h"

/* One line of a stack. Strings are owned by the profile; NULL where not known. */
struct profile_frame {
	uint64_t address; /* in the process; a return address except in the innermost frame */
	uint64_t offset;  /* in the module's file */
	char *module;	  /* path as the process sees it; "[jit]" for code with no file */
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_size; /* 0 when the module has none */
	char *function;	      /* demangled */
	char *file;
	int line;     /* 0 when not known */
	bool inlined; /* inlined into the next frame; shares its address */
};

struct profile_counts {
	uint64_t live_bytes, live_blocks;
	uint64_t allocated_bytes, allocations;
	uint64_t frees;
};

struct profile_site {
	uint64_t id; /* 64-bit hash of owner, domain and stack */
	pid_t pid;
	char comm[16];	    /* of the process; hostile bytes, not escaped */
	const char *domain; /* "heap", "mmap" */
	bool exited;	    /* its process has ended: live is what it held at its end */
	bool no_stack;	    /* charged here because the stack table was full */
	double first_seen;  /* seconds since the session's start */
	struct profile_counts counts;
	struct leak_factor factor;
	enum verdict verdict;
	struct profile_frame *frames; /* innermost first */
	size_t frame_count;
	enum stack_end stack_end; /* where the walk ended */
	bool frame_pointers;	  /* some of it was walked along frame pointers, which may lead astray */
	struct series_point *points;
	size_t point_count;
};

struct profile_probe {
	char *object; /* path */
	char function[64];
	uint64_t offset;      /* in the object's file */
	char instruction[64]; /* disassembled */
	bool emulated;
	const char *mechanism; /* "uprobe", "uretprobe", "kprobe", "tracepoint", "tp_btf" */
};

/* What could not be recorded. */
struct profile_lost {
	uint64_t blocks;       /* births that found no room in the block table */
	uint64_t stacks;       /* births charged to a site without a stack */
	uint64_t returns;      /* calls whose return was never seen */
	uint64_t missed_frees; /* births at an address that was still live */
	uint64_t events; /* changes of processes and mappings that were not heard of: the buffer was full */
	uint64_t processes; /* children that could not be followed: the process table was full */
};

/* A file whose frames had to be walked without its rows. */
struct profile_unwalked {
	char *path;
	uint64_t frames;
};

/* How complete the stacks are, and what walking them took. */
struct profile_stacks {
	uint64_t ends[STACK_ENDS]; /* allocations by where the walk of their stack ended */
	uint64_t frame_pointers;   /* allocations with stacks walked along frame pointers in part */
	uint64_t early_frames;	   /* met before the rows of their file were loaded */
	uint64_t collisions;	   /* allocations whose stack had the same id as another one */
	uint64_t rows, max_rows;
	struct {
		struct profile_unwalked *items;
		size_t count, capacity;
	} left_out; /* files whose rows found no room */
};

struct profile {
	struct timespec start; /* CLOCK_REALTIME */
	double duration;       /* seconds */
	double interval;       /* seconds */
	char kernel[65];       /* uname release */
	char arch[65];
	struct {
		pid_t *items;
		size_t count, capacity;
	} pids;
	char **command; /* NULL-terminated argument vector, or NULL */
	struct {
		struct profile_probe *items;
		size_t count, capacity;
	} probes;
	struct profile_lost lost;
	struct profile_stacks stacks;
	struct profile_counts totals; /* of all sites, also of those that filters hide */
	struct {
		struct profile_site *items;
		size_t count, capacity;
	} sites; /* by leak size, then live bytes */
	struct {
		char **items;
		size_t count, capacity;
	} warnings;
};

/** Free everything that a profile owns and leave an empty one. NULL is allowed. */
void profile_free(struct profile *profile);

/** Sort the sites by leak size, then live bytes (both largest first), then id: the same profile gives the
 * same order. */
void profile_sort(struct profile *profile);

/** @return how many events were lost, of all kinds together; 0 means that the profile is exact */
uint64_t profile_lost_total(const struct profile_lost *lost);
