/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cleanup by attribute: a variable so marked releases what it holds when its scope ends. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close_(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_(FILE *const *file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_	 __attribute__((cleanup(cleanup_free_)))
#define _cleanup_close_	 __attribute__((cleanup(cleanup_close_)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose_)))
