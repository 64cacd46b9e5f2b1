// SPDX-License-Identifier: GPL-2.0-or-later
#include "probe/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#define ARGUMENT_REGISTERS 6

/* The integer argument registers in the order of the System V ABI for x86-64, section 3.2.3. */
static const ZydisRegister argument_registers[ARGUMENT_REGISTERS] = {
	ZYDIS_REGISTER_RDI,
	ZYDIS_REGISTER_RSI,
	ZYDIS_REGISTER_RDX,
	ZYDIS_REGISTER_RCX,
	ZYDIS_REGISTER_R8,
	ZYDIS_REGISTER_R9,
};

struct instruction {
	ZydisDecodedInstruction info;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]; /* the implicit ones included */
};

static void decoder_init(ZydisDecoder *decoder)
{
	ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static bool decode(const ZydisDecoder *decoder, const uint8_t *code, size_t size, size_t offset,
	struct instruction *instruction)
{
	return offset < size && ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code + offset, size - offset,
					&instruction->info, instruction->operands));
}

/*
 * What every kernel from 5.15 on emulates (branch_setup_xol_ops() and push_setup_xol_ops() in
 * arch/x86/kernel/uprobes.c). Newer ones emulate more, multi-byte nops among it, but a site is chosen for all
 * of them. Prefixed forms are left out: with a 66 prefix the kernel even refuses the probe.
 */
static bool is_emulated(const uint8_t *bytes, size_t length)
{
	switch (length) {
	case 1:
		return bytes[0] == 0x90 || (bytes[0] & 0xf8) == 0x50; /* nop, push */
	case 2:
		if (bytes[0] == 0x41) /* push of r8 to r15 */
			return (bytes[1] & 0xf8) == 0x50;
		return bytes[0] == 0xeb || (bytes[0] & 0xf0) == 0x70; /* jmp, jcc */
	case 5:
		return bytes[0] == 0xe8 || bytes[0] == 0xe9; /* call, jmp */
	case 6:
		return bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80; /* jcc */
	default:
		return false;
	}
}

/* Does it write the register or any part of it, by itself or by implication, always or on a condition? */
static bool writes_register(const struct instruction *instruction, ZydisRegister wanted)
{
	for (size_t i = 0; i < instruction->info.operand_count; i++) {
		const ZydisDecodedOperand *operand = &instruction->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
			(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
			ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand->reg.value) ==
				wanted)
			return true;
	}
	return false;
}

static bool stops_dead(const struct instruction *instruction)
{
	switch (instruction->info.mnemonic) {
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return true;
	default:
		return false;
	}
}

/* Branches, calls, returns, system calls and breakpoints all write the instruction pointer. */
static bool leaves_sequence(const struct instruction *instruction)
{
	for (size_t i = 0; i < instruction->info.operand_count; i++) {
		const ZydisDecodedOperand *operand = &instruction->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
			(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
			ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_IP)
			return true;
	}
	return stops_dead(instruction);
}

static bool writes_zero_flag(const struct instruction *instruction)
{
	const ZydisAccessedFlags *flags = instruction->info.cpu_flags;

	return flags &&
	       ((flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & ZYDIS_CPUFLAG_ZF);
}

static bool is_register(const ZydisDecodedOperand *operand, ZydisRegister wanted)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value == wanted;
}

/* test %rdi,%rdi or cmp $0,%rdi: a je behind it is taken when, and only when, the first argument is null. */
static bool tests_first_argument_for_null(const struct instruction *instruction)
{
	const ZydisDecodedOperand *operands = instruction->operands;

	if (instruction->info.operand_count_visible != 2 || !is_register(&operands[0], argument_registers[0]))
		return false;
	if (instruction->info.mnemonic == ZYDIS_MNEMONIC_TEST)
		return is_register(&operands[1], argument_registers[0]);
	return instruction->info.mnemonic == ZYDIS_MNEMONIC_CMP &&
	       operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[1].imm.value.u == 0;
}

/* The target of a direct branch or call as an offset that, like addresses, wraps around. */
static bool direct_target(const struct instruction *instruction, uint64_t offset, uint64_t *target)
{
	const ZydisDecodedOperand *operand = &instruction->operands[0];

	if (!instruction->info.operand_count_visible || operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
		!operand->imm.is_relative)
		return false;
	*target = offset + instruction->info.length + operand->imm.value.u;
	return true;
}

/*
 * Does a direct branch lead behind the entry but not behind the site, so that one call may pass the site more
 * than once, or reach it with other arguments? A branch to the entry itself is a new call.
 *
 * The sweep is linear: compilers for x86-64 keep data out of functions, so it stays in step with the code.
 * What cannot be decoded is stepped over by one byte; the code behind it may come out as other instructions
 * for a while, of which a mistaken branch costs no more than the better site. Indirect jumps are not
 * followed: they come from tables of switch statements and from computed gotos, which stand behind the code
 * that looked up the target.
 */
static bool branch_leads_into(const ZydisDecoder *decoder, const uint8_t *code, size_t size, size_t site)
{
	struct instruction instruction;
	uint64_t target;

	if (site == 0)
		return false;
	for (size_t offset = 0; offset < size;) {
		if (!decode(decoder, code, size, offset, &instruction)) {
			offset++;
			continue;
		}
		if (direct_target(&instruction, offset, &target) && target > 0 && target <= site)
			return true;
		offset += instruction.info.length;
	}
	return false;
}

/* The places where a probe may stand, as far as the straight code from the entry shows. */
struct candidates {
	bool found;
	size_t offset; /* of the best one */
	bool null_branch_found;
	size_t null_branch; /* of the branch taken for a null first argument, when the best one lies behind it
			     */
};

static struct candidates find_candidates(
	const ZydisDecoder *decoder, const uint8_t *code, size_t size, unsigned int arguments, bool skip_null)
{
	struct candidates candidates = {0};
	struct instruction instruction;
	bool null_tested = false;

	for (size_t offset = 0; decode(decoder, code, size, offset, &instruction);
		offset += instruction.info.length) {
		if (is_emulated(code + offset, instruction.info.length)) {
			if (!null_tested || instruction.info.mnemonic != ZYDIS_MNEMONIC_JZ ||
				candidates.null_branch_found) {
				candidates.found = true;
				candidates.offset = offset;
				return candidates;
			}
			candidates.null_branch_found = true;
			candidates.null_branch = offset;
			continue;
		}
		if (leaves_sequence(&instruction) || writes_register(&instruction, ZYDIS_REGISTER_RSP))
			return candidates;
		for (unsigned int i = 0; i < arguments; i++)
			if (writes_register(&instruction, argument_registers[i]))
				return candidates;
		if (tests_first_argument_for_null(&instruction))
			null_tested = skip_null && arguments > 0;
		else if (writes_zero_flag(&instruction))
			null_tested = false;
	}
	return candidates;
}

/* Zydis names conditions as Intel's manual does first, binutils by their synonyms. */
static const char *binutils_mnemonic(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_JZ:
		return "je";
	case ZYDIS_MNEMONIC_JNZ:
		return "jne";
	case ZYDIS_MNEMONIC_JNB:
		return "jae";
	case ZYDIS_MNEMONIC_JNBE:
		return "ja";
	case ZYDIS_MNEMONIC_JNL:
		return "jge";
	case ZYDIS_MNEMONIC_JNLE:
		return "jg";
	default:
		return NULL;
	}
}

/* As objdump prints it, but with branch targets relative to the instruction, in assembler's way: "je .+0x10".
 */
static void disassemble(const struct instruction *instruction, char *text, size_t size)
{
	const char *mnemonic = binutils_mnemonic(instruction->info.mnemonic);
	bool branch = instruction->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
	const char *mark = "";
	ZydisFormatter formatter;
	char raw[128], line[sizeof(raw) + 2], *operands;
	size_t length = 0;
	uint64_t target;

	text[0] = '\0';
	if (!ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT)))
		return;
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(
		&formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(
		&formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
	if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &instruction->info,
		    instruction->operands, instruction->info.operand_count_visible, raw, sizeof(raw),
		    ZYDIS_RUNTIME_ADDRESS_NONE, NULL)))
		return;

	if (direct_target(instruction, 0, &target))
		mark = ".";
	else if (branch)
		mark = "*";
	operands = branch ? strrchr(raw, ' ')
			  : strchr(raw, ' '); /* a branch may have the name of a prefix first */
	if (instruction->info.operand_count_visible && operands) {
		*operands++ = '\0';
		snprintf(line, sizeof(line), "%s %s%s", mnemonic ? mnemonic : raw, mark, operands);
	} else {
		snprintf(line, sizeof(line), "%s", raw);
	}
	for (const char *from = line; *from && length + 1 < size; from++)
		if (*from != ' ' || from[-1] != ',')
			text[length++] = *from;
	text[length] = '\0';
}

void probe_site_choose(
	const uint8_t *code, size_t size, unsigned int arguments, bool skip_null, struct probe_site *site)
{
	struct candidates candidates;
	struct instruction instruction;
	ZydisDecoder decoder;

	memset(site, 0, sizeof(*site));
	if (arguments > ARGUMENT_REGISTERS)
		arguments = ARGUMENT_REGISTERS;
	decoder_init(&decoder);
	candidates = find_candidates(&decoder, code, size, arguments, skip_null);
	if (candidates.found && !branch_leads_into(&decoder, code, size, candidates.offset))
		site->offset = (uint32_t)candidates.offset;
	else if (candidates.null_branch_found &&
		 !branch_leads_into(&decoder, code, size, candidates.null_branch))
		site->offset = (uint32_t)candidates.null_branch;

	if (!decode(&decoder, code, size, site->offset, &instruction))
		return;
	site->emulated = is_emulated(code + site->offset, instruction.info.length);
	disassemble(&instruction, site->instruction, sizeof(site->instruction));
}

static int compare_addresses(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static bool contains_address(const uint64_t *addresses, size_t count, uint64_t address)
{
	return count && bsearch(&address, addresses, count, sizeof(*addresses), compare_addresses);
}

bool code_calls_any(
	const uint8_t *code, size_t size, uint64_t address, const uint64_t *targets, size_t target_count)
{
	struct instruction instruction;
	ZydisDecoder decoder;
	uint64_t target;

	decoder_init(&decoder);
	for (size_t offset = 0; offset < size;) {
		if (!decode(&decoder, code, size, offset, &instruction)) {
			offset++;
			continue;
		}
		if (direct_target(&instruction, offset, &target) &&
			contains_address(targets, target_count, address + target))
			return true;
		offset += instruction.info.length;
	}
	return false;
}

/* The state of code_always_calls(): what was walked, and where to walk on. */
struct walk {
	ZydisDecoder decoder;
	const uint8_t *code;
	size_t size;
	uint64_t address;
	const uint64_t *targets;
	size_t target_count;
	bool *visited;	    /* for every byte of the code: an instruction that begins there was walked */
	size_t pending[64]; /* offsets of branch targets inside of the code */
	size_t pending_count;
	bool target_seen;
};

static bool walk_later(struct walk *walk, uint64_t offset)
{
	if (offset >= walk->size || walk->pending_count == sizeof(walk->pending) / sizeof(walk->pending[0]))
		return false;
	walk->pending[walk->pending_count++] = offset;
	return true;
}

/* Walk from an offset until a target is called. @return false when the function may be left before. */
static bool walk_to_target(struct walk *walk, size_t offset)
{
	struct instruction instruction;
	bool behind_call = false;

	while (offset < walk->size && !walk->visited[offset]) {
		uint64_t target;
		bool direct;

		if (!decode(&walk->decoder, walk->code, walk->size, offset, &instruction))
			return false;
		walk->visited[offset] = true;
		direct = direct_target(&instruction, offset, &target);
		if (direct && contains_address(walk->targets, walk->target_count, walk->address + target)) {
			walk->target_seen = true;
			if (instruction.info.meta.category != ZYDIS_CATEGORY_COND_BR)
				return true;
		} else if (instruction.info.meta.category == ZYDIS_CATEGORY_COND_BR) {
			if (!direct || !walk_later(walk, target))
				return false;
		} else if (instruction.info.meta.category == ZYDIS_CATEGORY_UNCOND_BR) {
			return direct && walk_later(walk, target);
		} else if (instruction.info.meta.category == ZYDIS_CATEGORY_RET) {
			return false;
		} else if (stops_dead(&instruction)) {
			return true;
		}
		behind_call = instruction.info.meta.category == ZYDIS_CATEGORY_CALL;
		offset += instruction.info.length;
	}
	/* Code that ends with a call does not expect it to return. */
	return offset < walk->size || behind_call;
}

bool code_always_calls(
	const uint8_t *code, size_t size, uint64_t address, const uint64_t *targets, size_t target_count)
{
	struct walk walk = {.code = code,
		.size = size,
		.address = address,
		.targets = targets,
		.target_count = target_count};
	bool always = true;

	walk.visited = calloc(size + 1, sizeof(*walk.visited));
	if (!walk.visited)
		return false;
	decoder_init(&walk.decoder);
	walk_later(&walk, 0);
	while (always && walk.pending_count)
		always = walk_to_target(&walk, walk.pending[--walk.pending_count]);
	free(walk.visited);
	return always && walk.target_seen;
}
