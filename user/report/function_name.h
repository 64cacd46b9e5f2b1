/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of a demangled function name. */
#pragma once

#include <stddef.h>

#include "report/buffer.h"

/**
 * Find the qualified name within a demangled C++ or Rust name, that is, without return type, parameter list
 * and what follows it: of "void ns::Cache<int>::put<long>(long, int) const" it is
 * "ns::Cache<int>::put<long>".
 *
 * @param function  the demangled name; hostile bytes
 * @param length    where to put the qualified name's length in bytes
 * @return its start within `function`; the whole when the name does not parse
 */
const char *function_name_qualified(const char *function, size_t *length);

/**
 * Append the qualified name as an eye takes it in: template arguments are folded to "<>" when it would be
 * longer than 40 bytes otherwise.
 */
void function_name_append_short(struct buffer *buffer, const char *function);
