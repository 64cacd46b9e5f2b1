// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
	va_list args;

	if (!err)
		return -1;
	err->code = code;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	return -1;
}

int error_set_errno(struct error *err, int errnum, const char *format, ...)
{
	va_list args;
	size_t used;

	if (!err)
		return -1;
	switch (errnum) {
	case ESRCH:
		err->code = ERROR_GONE;
		break;
	case EPERM:
	case EACCES:
		err->code = ERROR_UNSUPPORTED;
		break;
	default:
		err->code = ERROR_SYSTEM;
	}
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(errnum));
	return -1;
}

int error_exit_status(const struct error *err)
{
	switch (err->code) {
	case ERROR_USAGE:
		return 2;
	case ERROR_GONE:
		return 4;
	default:
		return 3;
	}
}
