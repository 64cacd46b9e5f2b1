// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_builder.h"

int unwind_read_sframe(
	const struct elf_file *file, const struct unwind_source *source, struct unwind_builder *builder)
{
	(void)file;
	(void)source;
	(void)builder;
	return 0;
}
