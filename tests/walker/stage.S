/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Setting registers to the values that a walk is to begin with. */
	.text

/* void walker_stage(const struct stage *): set the registers and go to stage->target, which comes back by r12. */
	.globl	walker_stage
	.type	walker_stage, @function
walker_stage:
	push	%rbx
	push	%rbp
	push	%r12
	mov	%rsp, own_sp(%rip)
	lea	1f(%rip), %r12
	mov	0(%rdi), %rax
	mov	8(%rdi), %rsp
	mov	16(%rdi), %rbp
	mov	24(%rdi), %rbx
	mov	32(%rdi), %rcx
	mov	48(%rdi), %rsi
	mov	56(%rdi), %rdx
	mov	40(%rdi), %rdi
	jmp	*%rcx
1:	mov	own_sp(%rip), %rsp
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	walker_stage, . - walker_stage

/* The usual target, where the probe is: rax is the address behind a call, the other registers are those there. */
	.globl	walker_probed
	.type	walker_probed, @function
walker_probed:
	nop
	jmp	*%r12
	.size	walker_probed, . - walker_probed

/* A signal handler: the walk begins with the registers as they will be when it returns, but for those that the
 * signal's frame restores. */
	.globl	walker_handler
	.type	walker_handler, @function
walker_handler:
	pop	%rax
	xor	%ebp, %ebp
	xor	%ebx, %ebx
	lea	1f(%rip), %r12
	jmp	walker_probed
1:	push	%rax
	ret
	.size	walker_handler, . - walker_handler

/* void walker_changed(void): tell the kernel side that the process's code has changed. */
	.globl	walker_changed
	.type	walker_changed, @function
walker_changed:
	nop
	ret
	.size	walker_changed, . - walker_changed

	.local	own_sp
	.comm	own_sp, 8, 8
	.section .note.GNU-stack, "", @progbits
