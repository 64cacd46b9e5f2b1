/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Line number tables of DWARF 2 to 5 (DWARF 5, section 6.2).
 *
 * Read here and not by libdw because libdw expands the table as it finds it: a few megabytes of hostile file
 * names or opcodes become terabytes of memory, and running out of it ends the process. Here rows are counted
 * against a budget, and file names are put together only when one is asked for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A section's bytes, with at least 16 readable zero bytes behind them. */
struct dwarf_bytes {
	const unsigned char *data;
	size_t size;
};

struct line_table;

struct line_row {
	uint64_t address;
	uint32_t file; /* to be handed to line_table_file() */
	uint32_t line; /* 0 when the code belongs to no line */
};

/**
 * Read the table of one compilation unit.
 *
 * @param line          .debug_line
 * @param line_strings  .debug_line_str, may be empty
 * @param strings       .debug_str, may be empty
 * @param offset        of the table in .debug_line (DW_AT_stmt_list)
 * @param directory     the unit's DW_AT_comp_dir, or NULL; it must live as long as the table, as must the
 * sections
 * @param budget        rows and file names that may still be stored; counted down
 * @return the table, to be freed with line_table_free(); NULL when it is malformed, is larger than the
 * budget, or memory ran out
 */
struct line_table *line_table_read(const struct dwarf_bytes *line, const struct dwarf_bytes *line_strings,
	const struct dwarf_bytes *strings, uint64_t offset, const char *directory, uint64_t *budget);

/** Free a table. NULL is allowed. */
void line_table_free(struct line_table *table);

/** @return the row that holds an address, owned by the table, or NULL */
const struct line_row *line_table_find(const struct line_table *table, uint64_t address);

/** @return the path of a source file by its number in this table, to be freed by the caller; NULL if there is
 * none */
char *line_table_file(const struct line_table *table, uint64_t number);
