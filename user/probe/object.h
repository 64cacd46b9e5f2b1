/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files that are mapped into traced processes, each opened once however many processes map it, and kept
 * open: what is known of a file stays right when it is replaced or deleted, or its process ends.
 */
#pragma once

#include <linux/types.h>
#include <sys/types.h>

#include "bpf/types.h"
#include "elf/elf_file.h"
#include "probe/allocator.h"
#include "proc/maps.h"

struct object {
	dev_t device;
	ino_t inode;
	char *path; /* as its process sees it */
	int fd;
	struct elf_file *elf;		      /* NULL when it is no usable ELF file */
	struct error problem;		      /* why not */
	struct allocator_functions functions; /* allocator functions that it defines */
	enum rows_state rows_state;	      /* of its unwind rows */
	uint32_t row_first, row_count;	      /* in the kernel side's table */
	bool rows_wait; /* until a stack is seen in it: they are too many to be loaded in advance */
	uint64_t hook;	/* file offset of the function that a dynamic linker calls after changes; 0: it has
			   none */
};

struct object_cache {
	struct object **items;
	size_t count, capacity;
};

/**
 * Get the object behind a mapping of a process.
 *
 * @return the object, owned by the cache; NULL when the file cannot be opened any more
 */
struct object *object_of_mapping(
	struct object_cache *cache, pid_t pid, const struct proc_map *map, struct error *err);

/** Get the object of a file by its path. @return the object, owned by the cache, or NULL */
struct object *object_of_path(struct object_cache *cache, const char *path, struct error *err);

/** @return the object that is already known under this identity, or NULL */
struct object *object_find(const struct object_cache *cache, dev_t device, ino_t inode);

/** Close and free all objects. */
void object_cache_free(struct object_cache *cache);
