// SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note
/* Walks stacks with leaktop's own code, beginning with the registers that the tests have put on stage. */
#include "bpf/kernel.h"
#include "bpf/types.h"

#include "bpf/site.h"
#include "tests/walker/walked.h"

char LICENSE[] SEC("license") = "GPL";

__u32 domain; /* enum domain */
bool book;    /* find the stack's site, as for an allocation; else only walk */
struct walked walked;

/* walker_probed in stage.S: the first address is in rax, so that any stack pointer will do. */
SEC("uprobe")
int probed(struct pt_regs *ctx)
{
	struct pt_regs regs = {.ip = ctx->ax, .sp = ctx->sp, .bp = ctx->bp, .bx = ctx->bx};
	struct thread *thread = thread_get();
	__u32 i;

	if (!thread)
		return 0;
	walked.runs++;
	thread->walk.count = 0;
	thread->walk.end = STACK_ENDS;
	if (book) {
		walked.site = site_get(thread, domain, &regs);
	} else {
		stack_begin(thread, &regs);
		stack_walk(thread, &regs, 0);
	}
	walked.recalled = thread->walk.end == STACK_ENDS;
	walked.count = thread->walk.count;
	walked.end = thread->walk.end;
	walked.frame_pointers = thread->walk.frame_pointers;
	for (i = 0; i < MAX_FRAMES && i < thread->walk.count; i++)
		walked.frames[i] = thread->frames[i];
	return 0;
}

/* walker_changed in stage.S: what the dynamic linker's hook does. */
SEC("uprobe")
int changed(struct pt_regs *ctx)
{
	struct thread *thread = thread_get();
	struct process *process;

	if (!thread)
		return 0;
	process = process_at(thread->process);
	if (process)
		code_changed(process);
	__sync_fetch_and_add(&process_epoch, 1);
	return 0;
}
