/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Separate debug files: by build ID below /usr/lib/debug/.build-id, by the name in .gnu_debuglink, and the
 * file that several debug files share (.gnu_debugaltlink, made by dwz). They are looked for below the
 * target's root first, then below this machine's. Nothing is ever fetched from a network.
 */
#pragma once

#include "elf/elf_private.h"

/**
 * Find and open the separate debug file of a program or library.
 *
 * A file with the same build ID is the one. A file found by name when neither has a build ID must have the
 * checksum that .gnu_debuglink tells.
 *
 * @param debug  filled on success, to be closed with elf_object_close(); `fd` is -1 otherwise
 * @return 0, or -1 when there is none
 */
int debug_file_open(const struct elf_file *file, struct elf_object *debug);

/**
 * Find and open the file that an object's .gnu_debugaltlink names; its build ID must be the one given there.
 *
 * @param file    the program or library, for its root and path
 * @param object  the file with the link: the program itself or its separate debug file
 * @param shared  filled on success, to be closed with elf_object_close(); `fd` is -1 otherwise
 * @return 0, or -1 when there is none
 */
int debug_file_open_shared(
	const struct elf_file *file, const struct elf_object *object, struct elf_object *shared);
