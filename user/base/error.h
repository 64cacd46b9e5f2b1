/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors: a code for programs and a message for people.
 *
 * A function that can fail takes a `struct error *` as its last argument and returns 0 or -1 (or a pointer or
 * NULL). The message is made where the cause is known, in the form "what failed: why (what to do)"; callers
 * pass it up unchanged. Commands print it after their own name and exit with error_exit_status().
 */
#pragma once

#include <stdarg.h>

enum error_code {
	ERROR_NONE = 0,
	ERROR_USAGE,	   /* the command line is wrong */
	ERROR_UNSUPPORTED, /* cannot be done here: permission, kernel, kind of file */
	ERROR_GONE,	   /* the target was gone before anything was measured */
	ERROR_INPUT,	   /* a file or a target's data is malformed */
	ERROR_SYSTEM,	   /* a system call failed, or memory ran out */
};

struct error {
	enum error_code code;
	char message[512];
};

/**
 * Fill an error.
 *
 * @param err      where to put it; may be NULL when the caller does not want to know
 * @param code     what kind of failure it is
 * @param format   printf format of "what failed: why (what to do)", without a newline
 * @return always -1, so that a function can end with `return error_set(...)`
 */
int error_set(struct error *err, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * Fill an error from errno: ESRCH becomes ERROR_GONE, EPERM and EACCES ERROR_UNSUPPORTED, all others
 * ERROR_SYSTEM.
 *
 * @param err     as in error_set()
 * @param errnum  an errno value; its text is appended after ": "
 * @param format  printf format of what failed
 * @return always -1
 */
int error_set_errno(struct error *err, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** @return the exit status that the commands' contract gives to this kind of error (2, 3 or 4). */
int error_exit_status(const struct error *err);
