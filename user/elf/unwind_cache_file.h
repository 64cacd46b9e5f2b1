/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of the cache of unwind rows. Nothing here reports errors: what cannot be read is not there, and
 * what cannot be written is not written.
 */
#pragma once

#include <stdbool.h>

#include "elf/unwind_rows.h"

#define UNWIND_CACHE_PREFIX "rows-"	   /* of the names of all files */
#define UNWIND_CACHE_SIZE   (256ULL << 20) /* bytes of all files together */

/**
 * Open the directory, made when it is missing. It and the one above must belong to this user: who else could
 * put things there would have a say in what is read and overwritten.
 *
 * @return a descriptor, to be closed, or -1
 */
int unwind_cache_open(void);

/**
 * Read a file.
 *
 * @param key   that it was written with
 * @param rows  filled, to be freed, on success
 * @return false when there is none, or it is not valid
 */
bool unwind_cache_load(int directory, const char *name, uint64_t key, struct unwind_rows *rows);

/** Write or replace a file, after those not used for longest were removed to make room. */
void unwind_cache_store(int directory, const char *name, uint64_t key, const struct unwind_rows *rows);
