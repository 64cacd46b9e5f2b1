// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_cache.h"

int unwind_rows_get(struct elf_file *file, struct unwind_rows *rows, struct error *err)
{
	return unwind_rows_build(file, rows, err);
}
