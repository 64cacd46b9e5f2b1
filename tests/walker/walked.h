/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* What the program in the kernel tells the tests. The includer provides __u64 and friends, and bpf/types.h.
 */
#pragma once

/* What came of the stack walked last. */
struct walked {
	__u32 runs;  /* of the program, so far */
	__u32 count; /* of frames */
	__u32 end;   /* enum stack_end */
	__u32 frame_pointers;
	__u32 site;	/* when it was booked */
	__u32 recalled; /* from a memo: nothing was walked, `count` is 0 */
	__u64 frames[MAX_FRAMES];
};
