/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of this folder know of an open ELF file and others do not. */
#pragma once

#include "elf/elf_object.h"

struct debug_info;
struct symbol_index;

struct elf_file {
	char *path, *root;
	char *interpreter; /* NULL when it has none */
	struct elf_object object;
	Elf64_Phdr *segments; /* PT_LOAD only, all inside the file */
	size_t segment_count;
	uint64_t frame_header, frame_header_size; /* PT_GNU_EH_FRAME: linked address, bytes; 0 without one */
	bool dynamic;
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_size;

	/* Made when first needed; each is tried once. */
	struct elf_object debug; /* the separate debug file; `fd` is -1 when there is none */
	bool debug_tried;
	struct symbol_index *symbols;
	bool symbols_tried;
	struct debug_info *debug_info;
	bool debug_info_tried;
};

/** @return the executable segment that holds an address in its memory image, or NULL */
const Elf64_Phdr *elf_file_code_segment(const struct elf_file *file, uint64_t address);

/** @return the separate debug file, searched at the first call, or NULL when there is none */
const struct elf_object *elf_file_debug_object(struct elf_file *file);
