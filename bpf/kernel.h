/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The few types of the kernel that our programs read, by hand: field offsets are relocated at load time
 * (CO-RE), so only names and types matter here, not order or completeness. Builds where there is no BTF.
 */
#pragma once

/* Tells libbpf's headers that pt_regs has the kernel's field names. */
#define __VMLINUX_H__

#include <linux/bpf.h>
#include <linux/types.h>

#include <stdbool.h>

/* The context of a uprobe program; accessed directly by the verifier's rules, not relocated. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs,
		flags, sp, ss;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

typedef struct {
	void *vdso;
} mm_context_t;

struct mm_struct {
	unsigned long brk;
	mm_context_t context;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff, vm_flags;
	struct mm_struct *vm_mm;
	struct file *vm_file;
};

struct rlimit {
	unsigned long rlim_cur, rlim_max;
};

struct signal_struct {
	atomic_t live;
	struct rlimit rlim[16];
};

struct thread_info {
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	int pid, tgid;
	char comm[16];
	struct mm_struct *mm;
	struct signal_struct *signal;
};

#pragma clang attribute pop

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
