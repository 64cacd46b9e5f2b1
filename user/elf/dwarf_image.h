/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DWARF sections of a file, checked and handed to libdw.
 *
 * libdw is not made for hostile input: given a file it opens whatever paths that file names (supplementary
 * and split debug files), may ask a network, reads a few bytes past the end of a section, and takes any
 * amount of memory. So it never sees the file. It is given an ELF image made in memory: only the sections
 * needed, decompressed under a limit, each with zero bytes behind it, and only after the units and
 * abbreviations in it were found to be sane.
 */
#pragma once

#include <elfutils/libdw.h>
#include <libelf.h>

#include "elf/elf_object.h"
#include "elf/line_table.h"

struct dwarf_image {
	unsigned char *bytes;
	Elf *elf;
	Dwarf *dwarf;
	struct dwarf_bytes info, abbreviations, line, line_strings, strings; /* parts of `bytes` */
};

/**
 * Read a file's DWARF.
 *
 * @param image  filled on success, to be closed with dwarf_image_close()
 * @return 0; -1 when there is none, it is not sane, too large, or memory ran out (the image is then all zero)
 */
int dwarf_image_open(const struct elf_object *object, struct dwarf_image *image);

/** Free an image; one that is all zero is allowed. */
void dwarf_image_close(struct dwarf_image *image);

/** @return whether a file has a .debug_info section, compressed or not */
bool dwarf_image_exists(const struct elf_object *object);
