/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* What the programs in the kernel tell truth of a stop; plain C for both sides. */
#pragma once

#include "bpf/types.h"

struct truth_sample {
	__u32 tid;
	__u32 objects_changed; /* the dynamic linker has loaded or unloaded objects: no stack was walked */
	__u32 end;	       /* why the walk ended; see end_names in kernel_side.c */
	__u32 frame_count;
	__u64 function;	  /* the allocator function that was entered */
	__u64 sp, bp, bx; /* of its caller, as they will be after the return */
	__u64 frames[MAX_FRAMES + 1];
};
