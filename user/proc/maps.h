/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/maps as a structure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct proc_map {
	uint64_t start, end; /* addresses, end excluded */
	uint64_t offset;     /* of `start` in the file, in bytes */
	dev_t device;	     /* of the file's inode; some file systems give another here than stat() does */
	uint64_t inode;	     /* 0: no file */
	bool executable;
	char *path; /* as the process sees it, without " (deleted)"; "[heap]" and the like, or "" for what has
		       no name */
};

struct proc_maps {
	struct proc_map *items; /* sorted by address */
	size_t count, capacity;
};

/**
 * Read the mappings of a process.
 *
 * @param maps  an empty list, to be freed with proc_maps_free()
 * @return 0; -1 when the process is gone (ERROR_GONE) or may not be looked at (ERROR_UNSUPPORTED)
 */
int proc_maps_read(pid_t pid, struct proc_maps *maps, struct error *err);

/** @return the mapping that holds an address, or NULL */
const struct proc_map *proc_maps_find(const struct proc_maps *maps, uint64_t address);

/** Free the list and its strings. */
void proc_maps_free(struct proc_maps *maps);

/**
 * Open the file behind a mapping: the very inode that is mapped, also when its path now names another file,
 * none, or lies in another mount namespace.
 *
 * @return a descriptor that the caller closes, or -1
 */
int proc_map_open(pid_t pid, const struct proc_map *map, struct error *err);
