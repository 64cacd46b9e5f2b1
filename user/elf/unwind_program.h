/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call frame programs (DWARF 5, section 6.4.2), followed as far as a rule of bpf/unwind_rule.h can tell. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/unwind_rule.h"
#include "elf/dwarf_cursor.h"
#include "elf/unwind_source.h"

/* The columns that rules know of. */
enum unwind_column { COLUMN_BX, COLUMN_BP, COLUMN_SP, COLUMN_RETURN, UNWIND_COLUMNS };

enum unwind_where {
	WHERE_UNTOLD,	 /* no rule for the column: unchanged; for the stack pointer, the CFA */
	WHERE_SAME,	 /* unchanged */
	WHERE_AT_CFA,	 /* *(CFA + offset) */
	WHERE_AT_BP,	 /* *(rbp + offset) */
	WHERE_CFA,	 /* CFA + offset */
	WHERE_UNDEFINED, /* lost */
	WHERE_OTHER,	 /* anywhere else */
};

struct unwind_register {
	enum unwind_where where;
	int64_t offset;
};

enum unwind_cfa {
	CFA_OTHER,    /* anything that is not below */
	CFA_REGISTER, /* register + offset */
	CFA_BP_DEREF, /* *(rbp + offset) */
	CFA_SP_DEREF, /* *(rsp + offset) */
	CFA_PLT,      /* as UNWIND_PLT, with its offset */
};

/* How a frame can be left at one place of its code. */
struct unwind_state {
	enum unwind_cfa cfa;
	uint64_t cfa_register; /* DWARF's number */
	int64_t cfa_offset;
	struct unwind_register columns[UNWIND_COLUMNS];
};

/* What an FDE takes over from its CIE. */
struct unwind_cie {
	const struct unwind_source *source;
	uint64_t offset; /* in the source: FDEs refer to it */
	uint64_t code_factor;
	int64_t data_factor;
	uint64_t return_column;
	uint8_t encoding; /* of pointers */
	bool augmented;	  /* FDEs have augmentation data, too */
	bool signal;	  /* FDEs are those of signal trampolines */
	struct unwind_state initial;
};

#define UNWIND_REMEMBERED_MAX 64 /* compilers nest one or two */

struct unwind_program {
	const struct unwind_cie *cie;
	struct dwarf_cursor code;
	uint64_t code_address; /* linked address of the code's first byte in its source */
	const unsigned char *code_start;
	uint64_t address; /* that `state` holds from */
	struct unwind_state state;
	struct unwind_state remembered[UNWIND_REMEMBERED_MAX];
	size_t remembered_count;
};

/**
 * Begin a program.
 *
 * @param code     its bytes, parts of the CIE's source
 * @param address  linked address of the first byte of the code that it describes
 */
void unwind_program_start(struct unwind_program *program, const struct unwind_cie *cie,
	struct dwarf_cursor code, uint64_t address);

/**
 * Go on to where the next address begins. What cannot be understood leaves a state that says so, up to the
 * end.
 *
 * @param next  address up to which program->state then holds; unchanged at the program's end
 * @return whether there is more: set program->address to `*next` and call again
 */
bool unwind_program_run(struct unwind_program *program, uint64_t *next);

/** Recognize the expression of a CFA. */
void unwind_cfa_expression(struct dwarf_cursor expression, struct unwind_state *state);

/** Recognize the expression of the place where a register was saved. */
struct unwind_register unwind_register_expression(struct dwarf_cursor expression);

/** @return the rule for a state */
uint64_t unwind_state_rule(const struct unwind_cie *cie, const struct unwind_state *state);
