// SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note
/* Programs that do nothing: what remains of a probe's cost is the trap. */
#include "bpf/kernel.h"

char LICENSE[] SEC("license") = "GPL";

SEC("uprobe")
int session(struct pt_regs *ctx)
{
	return 0;
}

SEC("uprobe")
int plain(struct pt_regs *ctx)
{
	return 0;
}
