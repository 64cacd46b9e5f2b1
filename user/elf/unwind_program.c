// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_program.h"

#include <dwarf.h>

#define LOW_BITS 0x3f /* an operand that is part of the opcode */

static const struct unwind_register undefined = {.where = WHERE_UNDEFINED};
static const struct unwind_register elsewhere = {.where = WHERE_OTHER};

void unwind_program_start(struct unwind_program *program, const struct unwind_cie *cie,
	struct dwarf_cursor code, uint64_t address)
{
	program->cie = cie;
	program->code = code;
	program->code_start = code.at;
	program->code_address = cie->source->address + (uint64_t)(code.at - cie->source->bytes);
	program->address = address;
	program->state = cie->initial;
	program->remembered_count = 0;
}

/* @return the column of a register, by DWARF's number, or NULL when no rule knows of it */
static struct unwind_register *column(
	const struct unwind_cie *cie, struct unwind_state *state, uint64_t number)
{
	if (number == cie->return_column)
		return &state->columns[COLUMN_RETURN];
	switch (number) {
	case 3:
		return &state->columns[COLUMN_BX];
	case 6:
		return &state->columns[COLUMN_BP];
	case 7:
		return &state->columns[COLUMN_SP];
	default:
		return NULL;
	}
}

static void set(struct unwind_program *program, uint64_t number, struct unwind_register value)
{
	struct unwind_register *target = column(program->cie, &program->state, number);

	if (target)
		*target = value;
}

static void restore(struct unwind_program *program, uint64_t number)
{
	struct unwind_state initial = program->cie->initial, *state = &program->state;
	const struct unwind_register *source = column(program->cie, &initial, number);

	if (source)
		*column(program->cie, state, number) = *source;
}

/* Products wrap around: what comes out of absurd factors is refused when a rule is made of it. */
static int64_t times(uint64_t value, int64_t factor)
{
	return (int64_t)(value * (uint64_t)factor);
}

static struct unwind_register at_cfa(int64_t offset)
{
	return (struct unwind_register){.where = WHERE_AT_CFA, .offset = offset};
}

static struct unwind_register cfa_plus(int64_t offset)
{
	return (struct unwind_register){.where = offset ? WHERE_OTHER : WHERE_CFA};
}

static struct dwarf_cursor take_block(struct dwarf_cursor *code)
{
	uint64_t size = dwarf_cursor_unsigned(code);
	struct dwarf_cursor block = {.at = code->at};

	dwarf_cursor_skip(code, size);
	block.end = code->at;
	block.failed = code->failed;
	return block;
}

static void define_cfa(struct unwind_state *state, uint64_t number, int64_t offset)
{
	state->cfa = CFA_REGISTER;
	state->cfa_register = number;
	state->cfa_offset = offset;
}

/* Only a CFA of register and offset has one of them that can be changed. */
static void change_cfa(struct unwind_program *program, uint64_t number, int64_t offset)
{
	if (program->state.cfa != CFA_REGISTER)
		program->code.failed = true;
	define_cfa(&program->state, number, offset);
}

static void remember(struct unwind_program *program)
{
	if (program->remembered_count == UNWIND_REMEMBERED_MAX)
		program->code.failed = true;
	else
		program->remembered[program->remembered_count++] = program->state;
}

static void recall(struct unwind_program *program)
{
	if (!program->remembered_count)
		program->code.failed = true;
	else
		program->state = program->remembered[--program->remembered_count];
}

static void execute_cfa(struct unwind_program *program, uint8_t opcode)
{
	struct dwarf_cursor *code = &program->code;
	struct unwind_state *state = &program->state;
	int64_t factor = program->cie->data_factor;
	uint64_t number;

	switch (opcode) {
	case DW_CFA_def_cfa:
		number = dwarf_cursor_unsigned(code);
		define_cfa(state, number, (int64_t)dwarf_cursor_unsigned(code));
		break;
	case DW_CFA_def_cfa_sf:
		number = dwarf_cursor_unsigned(code);
		define_cfa(state, number, times((uint64_t)dwarf_cursor_signed(code), factor));
		break;
	case DW_CFA_def_cfa_register:
		change_cfa(program, dwarf_cursor_unsigned(code), state->cfa_offset);
		break;
	case DW_CFA_def_cfa_offset:
		change_cfa(program, state->cfa_register, (int64_t)dwarf_cursor_unsigned(code));
		break;
	case DW_CFA_def_cfa_offset_sf:
		change_cfa(program, state->cfa_register, times((uint64_t)dwarf_cursor_signed(code), factor));
		break;
	case DW_CFA_def_cfa_expression:
		unwind_cfa_expression(take_block(code), state);
		break;
	case DW_CFA_remember_state:
		remember(program);
		break;
	case DW_CFA_restore_state:
		recall(program);
		break;
	case DW_CFA_GNU_args_size:
		dwarf_cursor_unsigned(code);
		break;
	case DW_CFA_nop:
		break;
	default:
		code->failed = true;
	}
}

/* Instructions whose first operand is a register. */
static void execute_register(struct unwind_program *program, uint8_t opcode)
{
	struct dwarf_cursor *code = &program->code, before = *code;
	uint64_t number = dwarf_cursor_unsigned(code);
	int64_t factor = program->cie->data_factor;

	switch (opcode) {
	case DW_CFA_offset_extended:
		set(program, number, at_cfa(times(dwarf_cursor_unsigned(code), factor)));
		break;
	case DW_CFA_offset_extended_sf:
		set(program, number, at_cfa(times((uint64_t)dwarf_cursor_signed(code), factor)));
		break;
	case DW_CFA_GNU_negative_offset_extended:
		set(program, number, at_cfa(times(-dwarf_cursor_unsigned(code), factor)));
		break;
	case DW_CFA_val_offset:
		set(program, number, cfa_plus(times(dwarf_cursor_unsigned(code), factor)));
		break;
	case DW_CFA_val_offset_sf:
		set(program, number, cfa_plus(times((uint64_t)dwarf_cursor_signed(code), factor)));
		break;
	case DW_CFA_restore_extended:
		restore(program, number);
		break;
	case DW_CFA_undefined:
		set(program, number, undefined);
		break;
	case DW_CFA_same_value:
		set(program, number, (struct unwind_register){.where = WHERE_SAME});
		break;
	case DW_CFA_register:
		dwarf_cursor_unsigned(code);
		set(program, number, elsewhere);
		break;
	case DW_CFA_expression:
		set(program, number, unwind_register_expression(take_block(code)));
		break;
	case DW_CFA_val_expression:
		take_block(code);
		set(program, number, elsewhere);
		break;
	default:
		*code = before;
		execute_cfa(program, opcode);
	}
}

static uint64_t set_location(struct unwind_program *program)
{
	uint64_t place = program->code_address + (uint64_t)(program->code.at - program->code_start);
	uint64_t target = unwind_read_pointer(&program->code, program->cie->encoding, place);

	if (target < program->address)
		program->code.failed = true;
	return target - program->address;
}

/* @return whether it was an instruction that goes on, with the distance put to `advance` */
static bool execute_advance(struct unwind_program *program, uint8_t opcode, uint64_t *advance)
{
	static const uint8_t sizes[] = {[DW_CFA_advance_loc1] = 1,
		[DW_CFA_advance_loc2] = 2,
		[DW_CFA_advance_loc4] = 4,
		[DW_CFA_MIPS_advance_loc8] = 8};

	if (opcode == DW_CFA_set_loc)
		*advance = set_location(program);
	else if ((opcode & ~LOW_BITS) == DW_CFA_advance_loc)
		*advance = (opcode & LOW_BITS) * program->cie->code_factor;
	else if (opcode < sizeof(sizes) && sizes[opcode])
		*advance = dwarf_cursor_fixed(&program->code, sizes[opcode]) * program->cie->code_factor;
	else
		return false;
	return true;
}

static void execute(struct unwind_program *program, uint8_t opcode)
{
	switch (opcode & ~LOW_BITS) {
	case DW_CFA_offset:
		set(program, opcode & LOW_BITS,
			at_cfa(times(dwarf_cursor_unsigned(&program->code), program->cie->data_factor)));
		break;
	case DW_CFA_restore:
		restore(program, opcode & LOW_BITS);
		break;
	default:
		execute_register(program, opcode);
	}
}

bool unwind_program_run(struct unwind_program *program, uint64_t *next)
{
	while (dwarf_cursor_left(&program->code)) {
		uint8_t opcode = *program->code.at++;
		uint64_t advance = 0;

		if (!execute_advance(program, opcode, &advance))
			execute(program, opcode);
		if (program->code.failed || !advance)
			continue;
		*next = program->address + advance;
		if (*next > program->address)
			return true;
		program->code.failed = true;
	}
	if (program->code.failed)
		program->state = (struct unwind_state){.cfa = CFA_OTHER};
	return false;
}
