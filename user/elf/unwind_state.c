// SPDX-License-Identifier: GPL-2.0-or-later
/* What a state comes to: the expressions that compilers and linkers really write, and the rule for it. */
#include <dwarf.h>

#include "elf/unwind_builder.h"
#include "elf/unwind_program.h"

#define REGISTER_BX	3
#define REGISTER_BP	6
#define REGISTER_SP	7
#define REGISTER_IP	16
#define SIGNAL_FRAME_SP 160 /* bytes from a signal frame's rsp to the one saved in its ucontext */

/* Read an operation that pushes a register's value and a number. */
static bool take_register(struct dwarf_cursor *expression, uint64_t number, int64_t *offset)
{
	if (!dwarf_cursor_left(expression) || *expression->at != DW_OP_breg0 + number)
		return false;
	dwarf_cursor_skip(expression, 1);
	*offset = dwarf_cursor_signed(expression);
	return !expression->failed;
}

static bool take_operation(struct dwarf_cursor *expression, uint8_t operation)
{
	return dwarf_cursor_fixed(expression, 1) == operation && !expression->failed;
}

static bool at_end(const struct dwarf_cursor *expression)
{
	return !expression->failed && expression->at == expression->end;
}

/*
 * rsp + 8 + (((rip & 15) >= K) << 3), as linkers describe their PLT: an entry of 16 bytes pushes a number
 * with the instruction that ends at K.
 */
static bool is_plt(struct dwarf_cursor expression, int64_t *boundary)
{
	int64_t offset;

	if (!take_register(&expression, REGISTER_SP, &offset) || offset != 8 ||
		!take_register(&expression, REGISTER_IP, &offset) || offset != 0 ||
		!take_operation(&expression, DW_OP_lit15) || !take_operation(&expression, DW_OP_and))
		return false;
	*boundary = (int64_t)dwarf_cursor_fixed(&expression, 1) - DW_OP_lit0;
	return *boundary >= 0 && *boundary <= 15 && take_operation(&expression, DW_OP_ge) &&
	       take_operation(&expression, DW_OP_lit3) && take_operation(&expression, DW_OP_shl) &&
	       take_operation(&expression, DW_OP_plus) && at_end(&expression);
}

/* @return whether the expression is *(register + offset) */
static bool is_deref(struct dwarf_cursor expression, uint64_t number, int64_t *offset)
{
	return take_register(&expression, number, offset) && take_operation(&expression, DW_OP_deref) &&
	       at_end(&expression);
}

void unwind_cfa_expression(struct dwarf_cursor expression, struct unwind_state *state)
{
	int64_t offset = 0;

	state->cfa = CFA_OTHER;
	if (is_deref(expression, REGISTER_BP, &offset))
		state->cfa = CFA_BP_DEREF;
	else if (is_deref(expression, REGISTER_SP, &offset))
		state->cfa = CFA_SP_DEREF;
	else if (is_plt(expression, &offset)) {
		state->cfa = CFA_PLT;
		offset *= 8;
	}
	state->cfa_offset = offset;
}

struct unwind_register unwind_register_expression(struct dwarf_cursor expression)
{
	struct unwind_register place = {.where = WHERE_AT_BP};

	if (!take_register(&expression, REGISTER_BP, &place.offset) || !at_end(&expression))
		place = (struct unwind_register){.where = WHERE_OTHER};
	return place;
}

static enum unwind_saved saved_of(const struct unwind_register *place)
{
	switch (place->where) {
	case WHERE_UNTOLD:
	case WHERE_SAME:
		return SAVED_NOT;
	case WHERE_AT_CFA:
		return unwind_fits(place->offset, UNWIND_SAVED_BITS) ? SAVED_AT_CFA : SAVED_UNKNOWN;
	case WHERE_AT_BP:
		return unwind_fits(place->offset, UNWIND_SAVED_BITS) ? SAVED_AT_BP : SAVED_UNKNOWN;
	default:
		return SAVED_UNKNOWN;
	}
}

static enum unwind_kind kind_of(const struct unwind_state *state)
{
	switch (state->cfa) {
	case CFA_BP_DEREF:
		return UNWIND_BP_DEREF;
	case CFA_PLT:
		return UNWIND_PLT;
	case CFA_REGISTER:
		if (state->cfa_register == REGISTER_SP)
			return UNWIND_SP;
		if (state->cfa_register == REGISTER_BP)
			return UNWIND_BP;
		if (state->cfa_register == REGISTER_BX)
			return UNWIND_BX;
		return UNWIND_UNSUPPORTED;
	default:
		return UNWIND_UNSUPPORTED;
	}
}

/* Whether the return address and the caller's stack pointer are where all rules have them. */
static bool returns_as_usual(const struct unwind_cie *cie, const struct unwind_state *state)
{
	const struct unwind_register *back = &state->columns[COLUMN_RETURN];
	enum unwind_where stack = state->columns[COLUMN_SP].where;

	return cie->return_column == REGISTER_IP && back->where == WHERE_AT_CFA && back->offset == -8 &&
	       (stack == WHERE_UNTOLD || stack == WHERE_CFA);
}

static uint64_t plain(enum unwind_kind kind)
{
	return unwind_rule(kind, 0, SAVED_NOT, 0, SAVED_NOT, 0);
}

uint64_t unwind_state_rule(const struct unwind_cie *cie, const struct unwind_state *state)
{
	const struct unwind_register *bp = &state->columns[COLUMN_BP], *bx = &state->columns[COLUMN_BX];
	enum unwind_saved bp_saved = saved_of(bp), bx_saved = saved_of(bx);
	enum unwind_kind kind = kind_of(state);

	if (state->columns[COLUMN_RETURN].where == WHERE_UNDEFINED)
		return plain(UNWIND_END);
	if (cie->signal && state->cfa == CFA_SP_DEREF && state->cfa_offset == SIGNAL_FRAME_SP)
		return plain(UNWIND_SIGNAL);
	if (kind == UNWIND_UNSUPPORTED || !unwind_fits(state->cfa_offset, UNWIND_OFFSET_BITS) ||
		!returns_as_usual(cie, state))
		return plain(UNWIND_UNSUPPORTED);
	return unwind_rule(kind, state->cfa_offset, bp_saved,
		bp_saved == SAVED_AT_CFA || bp_saved == SAVED_AT_BP ? bp->offset : 0, bx_saved,
		bx_saved == SAVED_AT_CFA || bx_saved == SAVED_AT_BP ? bx->offset : 0);
}
