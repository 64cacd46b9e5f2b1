/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Which file's code a frame is in, noted when a stack is first seen: later the library may have been
 * unloaded, its place taken by another, or the process gone. One look-up a frame of a new stack; nothing on
 * the path of every call.
 */
#pragma once

#include "bpf/process.h"

#define PATH_DEPTH 48 /* components followed at the most */

struct mapping_key {
	__u64 start;
	__u64 process;
};

struct file_key {
	__u64 inode;
	__u64 device;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MAPPINGS);
	__type(key, struct mapping_key);
	__type(value, __u32);
} mapping_of_start SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_MAPPINGS);
	__type(key, __u32);
	__type(value, struct mapping);
} mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FILES);
	__type(key, struct file_key);
	__type(value, __u32);
} file_of_inode SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_FILES);
	__type(key, __u32);
	__type(value, struct mapped_file);
} files SEC(".maps");

__u32 mapping_count, file_count;

/* What is read of a VMA while its lock is held. */
struct vma_found {
	__u64 start, end, file_offset, inode, device, flags;
	struct dentry *dentry;
	struct vfsmount *mount;
};

struct path_walk {
	struct dentry *dentry;
	struct vfsmount *mount;
	struct mapped_file *file;
	__u32 length;
};

struct record_walk {
	struct thread *thread;
	struct stack *stack;
	__u64 start, end; /* of the mapping met last */
	__u32 mapping;	  /* its index plus 1 */
};

static long vma_read(struct task_struct *task, struct vm_area_struct *vma, struct vma_found *found)
{
	struct file *file = vma->vm_file;

	found->start = vma->vm_start;
	found->end = vma->vm_end;
	found->file_offset = vma->vm_pgoff << 12;
	found->flags = vma->vm_flags;
	if (!file) {
		if (vma->vm_start == (__u64)BPF_CORE_READ(vma, vm_mm, context.vdso)) {
			found->inode = found->device = VDSO_INODE;
			found->file_offset = 0;
		}
		return 0;
	}
	found->inode = BPF_CORE_READ(file, f_inode, i_ino);
	found->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	found->dentry = BPF_CORE_READ(file, f_path.dentry);
	found->mount = BPF_CORE_READ(file, f_path.mnt);
	return 0;
}

/* One component up, across mount points. */
static long path_step(__u32 step, struct path_walk *walk)
{
	struct dentry *dentry = walk->dentry, *parent = BPF_CORE_READ(dentry, d_parent);
	struct vfsmount *mounted = walk->mount;
	struct mapped_file *file = walk->file;
	struct mount *mount, *above;
	long length;

	if (dentry == BPF_CORE_READ(mounted, mnt_root) || dentry == parent) {
		mount = (void *)mounted - bpf_core_field_offset(struct mount, mnt);
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount)
			return 1;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	if (!file || walk->length >= MAX_PATH)
		return 1;
	length = bpf_probe_read_kernel_str(
		&file->path[walk->length & (MAX_PATH - 1)], MAX_NAME, BPF_CORE_READ(dentry, d_name.name));
	if (length <= 0)
		return 1;
	walk->length += length;
	walk->dentry = parent;
	return 0;
}

static __noinline __u32 file_record(struct vma_found *found)
{
	struct file_key key;
	struct path_walk walk = {0};
	__u32 *known, index;

	if (!found || !found->inode)
		return 0;
	key.inode = found->inode;
	key.device = found->device;
	known = bpf_map_lookup_elem(&file_of_inode, &key);
	if (known)
		return *known;
	if (file_count >= MAX_FILES)
		return 0;
	index = __sync_fetch_and_add(&file_count, 1);
	walk.file = bpf_map_lookup_elem(&files, &index);
	if (!walk.file)
		return 0;
	walk.dentry = found->dentry;
	walk.mount = found->mount;
	bpf_loop(PATH_DEPTH, path_step, &walk, 0);
	walk.file->inode = found->inode;
	walk.file->device = found->device;
	walk.file->path_length = walk.length;
	index++;
	if (!bpf_map_update_elem(&file_of_inode, &key, &index, BPF_NOEXIST))
		return index;
	known = bpf_map_lookup_elem(&file_of_inode, &key); /* another CPU was first */
	return known ? *known : 0;
}

static __noinline __u32 mapping_record(struct thread *thread, struct vma_found *found)
{
	struct mapping_key key;
	struct mapping *mapping;
	__u32 *known, index, file;

	if (!thread || !found)
		return 0;
	key.start = found->start;
	key.process = thread->process;
	file = file_record(found);
	known = bpf_map_lookup_elem(&mapping_of_start, &key);
	if (known) {
		/* The place may have been taken by another file since. */
		index = *known - 1;
		mapping = bpf_map_lookup_elem(&mappings, &index);
		if (mapping && mapping->file == file && mapping->end == found->end &&
			mapping->file_offset == found->file_offset)
			return *known;
	}
	if (mapping_count >= MAX_MAPPINGS)
		return 0;
	index = __sync_fetch_and_add(&mapping_count, 1);
	mapping = bpf_map_lookup_elem(&mappings, &index);
	if (!mapping)
		return 0;
	mapping->start = found->start;
	mapping->end = found->end;
	mapping->file_offset = found->file_offset;
	mapping->process = thread->process;
	mapping->file = file;
	index++;
	bpf_map_update_elem(&mapping_of_start, &key, &index, BPF_ANY);
	return index;
}

static long frame_record(__u32 i, struct record_walk *walk)
{
	struct thread *thread = walk->thread;
	struct stack *stack = walk->stack;
	struct vma_found found = {0};
	__u64 address;

	if (i >= MAX_FRAMES || !thread || !stack || i >= thread->walk.count)
		return 1;
	address = thread->frames[i];
	if (address & FRAME_INTERRUPTED)
		address &= ~FRAME_INTERRUPTED;
	else
		address--; /* the call, not what follows it */
	if (address < walk->start || address >= walk->end) {
		if (bpf_find_vma(bpf_get_current_task_btf(), address, vma_read, &found, 0))
			return 0;
		walk->start = found.start;
		walk->end = found.end;
		walk->mapping = mapping_record(thread, &found);
	}
	stack->mappings[i] = walk->mapping;
	return 0;
}

/* Note the mapping of every frame of thread->frames in a new stack. */
static __always_inline void mappings_record(struct thread *thread, struct stack *stack)
{
	struct record_walk walk = {.thread = thread, .stack = stack};

	/* Both helpers came with Linux 5.17; before it user space reads /proc/PID/maps instead, when it can.
	 */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma))
		bpf_loop(MAX_FRAMES, frame_record, &walk, 0);
}
