/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * What the programs in the kernel and leaktop's user space share: the layout of maps, as plain C types.
 * Included by both sides; the includer provides __u64 and friends.
 */
#pragma once

#define MAX_FRAMES   127 /* return addresses kept of a stack */
#define SHORT_FRAMES 4	 /* of a stack that comes when the table is nearly full */
#define MAX_PROCESSES                                                                                        \
	4096		    /* owners alive at one time; must fit above the 48 address bits of a block's key \
			     */
#define MAX_MAPPINGS  32768 /* file mappings that frames were seen in; fits 16 bits with one to spare */
#define MAX_FILES     2048  /* files that were mapped there */
#define MAX_PATH      1024  /* bytes of a file's path; a power of two; of a longer one the beginning is cut */
#define MAX_NAME      256   /* bytes of a component of it, the terminating 0 included */
#define BUCKET_BLOCKS 7
#define MAX_RULES     65536 /* different rules for unwinding, of all files together */
#define NO_PROCESS    0xffffffffu
#define WALK_TABLES   (6 << 20) /* bytes that the tables of rules and stacks met before take, at the most */

enum domain { DOMAIN_HEAP, DOMAIN_MMAP, DOMAINS };

/* What an allocator function does with its arguments; the cookie of the probe on it. */
enum allocator_kind {
	ALLOCATOR_SIZE_1,	  /* malloc(size), valloc(size), nothrow operator new(size) */
	ALLOCATOR_SIZE_2,	  /* memalign(alignment, size), aligned_alloc(alignment, size) */
	ALLOCATOR_PRODUCT,	  /* calloc(count, size) */
	ALLOCATOR_OUT,		  /* posix_memalign(&out, alignment, size) */
	ALLOCATOR_RESIZE,	  /* realloc(block, size) */
	ALLOCATOR_RESIZE_PRODUCT, /* reallocarray(block, count, size) */
	ALLOCATOR_THROWING,	  /* operator new(size): leaves by an exception when it fails */
	ALLOCATOR_RELEASE,	  /* free(block), operator delete(block, ...) */
	ALLOCATOR_KINDS,
};

/*
 * A live block. The table is an array of buckets, mapped by user space too. A block lives in one of the two
 * buckets that its key hashes to, in the second only when the first was full at its birth.
 */
struct block {
	__u64 size;	/* bytes asked for */
	__u32 site;	/* index into `sites` */
	__u32 birth_ms; /* since the session's start */
};

struct bucket {
	__u64 overflowed;	   /* blocks that hash here first but live in their second bucket */
	__u64 keys[BUCKET_BLOCKS]; /* address | process << 48; 0 is free. One cache line with the above. */
	struct block blocks[BUCKET_BLOCKS];
	__u64 unused[2]; /* a bucket is three cache lines */
};

/*
 * A site: owner, domain and stack. Counters only grow: live is what was allocated less what was freed. Its
 * stack is in `stacks` at the same index. Behind the sites with stacks come those without, one for each
 * process and domain.
 */
struct site {
	__u64 id; /* hash of process, domain and frames; 0: not in use */
	__u64 allocated_bytes;
	__u64 allocations;
	__u64 freed_bytes;
	__u64 frees;
	__u32 process; /* index into `processes` */
	__u16 domain;
	__u16 frame_count;
	__u64 birth_ns;	     /* CLOCK_MONOTONIC, of the first allocation */
	__u32 check;	     /* another hash of the frames: tells stacks apart whose ids are the same */
	__u8 stack_end;	     /* enum stack_end */
	__u8 frame_pointers; /* some of the stack was walked along frame pointers */
	__u16 unused;	     /* a site is one cache line */
};

/* Where the walk of a stack ended. */
enum stack_end {
	STACK_COMPLETE,	   /* at an outermost frame */
	STACK_DEEP,	   /* more than MAX_FRAMES */
	STACK_NO_CODE,	   /* at a return address that is in no code */
	STACK_NO_RULE,	   /* in code without call frame information, and without a frame pointer either */
	STACK_UNSUPPORTED, /* in code whose call frame information says what rules cannot express */
	STACK_UNREADABLE,  /* at memory that could not be read */
	STACK_BROKEN,	   /* at a frame that does not lie above the one it called */
	STACK_BUSY,	   /* the process was changing its mappings */
	STACK_PENDING,	   /* in a file whose rows were not loaded yet */
	STACK_SHORTENED,   /* nowhere: only its innermost frames were kept */
	STACK_ENDS,
};

/* A bit of a frame that was interrupted by a signal: its address is the next instruction's, not one behind a
 * call. */
#define FRAME_INTERRUPTED (1ULL << 63)

struct stack {
	__u64 frames[MAX_FRAMES + 1];	/* innermost first; the return address into the allocator's caller */
	__u16 mappings[MAX_FRAMES + 1]; /* index into `mappings` of each frame plus 1; 0: not known */
};

/* A mapping of a file into a process, as it was when a frame in it was first seen. */
struct mapping {
	__u64 start, end;  /* addresses */
	__u64 file_offset; /* of `start`, in bytes */
	__u32 process;
	__u32 file; /* index into `files` plus 1; 0: not a file, or not known */
};

enum rows_state {
	ROWS_UNKNOWN,
	ROWS_WANTED,   /* user space has been asked for them */
	ROWS_LOADED,   /* also when there are none: everything in the file is UNWIND_NONE then */
	ROWS_LEFT_OUT, /* they found no room */
};

/* The vdso has no file; it stands in the table of files under this inode and device. */
#define VDSO_INODE (~0ULL)

/* A mapped file. */
struct mapped_file {
	__u32 rows_state;	    /* enum rows_state */
	__u32 row_first, row_count; /* in the table of rows */
	__u32 unused;
	__u64 misses; /* frames that were met before its rows were loaded, or without room for them */
	__u64 inode;
	__u32 device;			/* the kernel's dev_t: major << 20 | minor */
	__u32 path_length;		/* bytes of `path` in use */
	char path[MAX_PATH + MAX_NAME]; /* its components, the last one first, each with a terminating 0 */
};

enum process_end { PROCESS_RUNS, PROCESS_EXECED, PROCESS_EXITED };

/* The owner of blocks: one program image in one process. exec makes a new one. */
struct process {
	__u32 tgid;
	__u32 end;	  /* enum process_end */
	__u32 from_birth; /* traced since its first allocation */
	__u32 parent;	  /* index of the process it was forked from, or NO_PROCESS */
	__u32 code;	  /* another number whenever its code may have changed */
	__u32 unused;
	__u64 unknown_frees; /* frees of blocks that are not in the table */
	__u64 lost_blocks;   /* births that found no room in the table */
	__u64 lost_bytes;
	char comm[16];
};

enum event_type {
	EVENT_FORK,
	EVENT_EXEC,
	EVENT_EXIT,
	EVENT_OBJECTS,
	EVENT_ROWS,
	EVENT_MAPPED,
	EVENT_UNMAPPED
};

/* What user space is told one by one: changes of processes, and the few events of the mmap domain. */
struct event {
	__u32 type;
	__u32 tgid;
	__u32 process;	   /* index; for EVENT_EXEC the new one */
	__u32 old_process; /* EVENT_EXEC: the one that ended; EVENT_FORK: the parent */
	__u64 start,
		size; /* EVENT_MAPPED, EVENT_UNMAPPED: the range in bytes; EVENT_ROWS: an address in it */
	__u32 site;   /* EVENT_MAPPED */
	__u32 file;   /* EVENT_ROWS: index into `files` whose rows are wanted */
	__u32 leader_changed; /* EVENT_EXEC: another thread than the leader did it, and took its place */
};

/* Losses, counted where they happen. */
struct lost {
	__u64 blocks, stacks, returns, missed_frees, processes, threads, events, collisions;
};
