/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* What the programs in the kernel tell truth of a stop; plain C for both sides. */
#pragma once

#include "bpf/types.h"

struct truth_sample {
	__u32 tid;
	__u32 objects_changed; /* the dynamic linker has loaded or unloaded objects: no stack was walked */
	__u32 frame_count;
	__u16 end;	      /* enum stack_end */
	__u16 frame_pointers; /* some of it was walked along frame pointers */
	__u64 function;	      /* the allocator function that was entered */
	__u64 sp, bp, bx;     /* of its caller, as they will be after the return */
	__u64 frames[MAX_FRAMES + 1];
};

struct truth_counts {
	__u64 calls;		/* seen so far */
	__u64 no_room;		/* samples that were given up */
	__u64 recalled;		/* stacks that were recognized, see bpf/memo.h */
	__u64 recalled_wrongly; /* for another stack */
};
