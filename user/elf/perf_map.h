/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Symbols of just-in-time compiled code: /tmp/perf-PID.map, lines of "START SIZE NAME" with START and SIZE in
 * hex. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct perf_map;

/**
 * Read a map. Malformed lines are skipped, as is a last one without a newline (it is being written); where
 * entries overlap the later line wins (code was recompiled). At most 64 MiB and 2^20 entries are read.
 *
 * @param fd  an open descriptor, read from its current position; stays the caller's
 * @return the map, to be freed with perf_map_free(); NULL when memory ran out, it could not be read, or it is
 *         no regular file
 */
struct perf_map *perf_map_read(int fd);

/** @return the name of the function that holds an absolute address, owned by the map, or NULL */
const char *perf_map_lookup(const struct perf_map *map, uint64_t address);

/** Free a map. NULL is allowed. */
void perf_map_free(struct perf_map *map);
