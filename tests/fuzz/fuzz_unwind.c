// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: call frame information of any content, in a sane ELF file or one of any content, must
 * give rows as promised or be refused, without a crash, a hang or more rows than its size warrants. The first
 * byte of the input chooses where the rest is found.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/unwind_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define CODE_SIZE (1 << 20) /* bytes of code in front of the frames; a hole in the file */

enum place { EH_FRAME, BY_HEADER, DEBUG_FRAME, SFRAME, WHOLE_FILE, PLACES };

/* Behind the frames. */
struct tail {
	struct {
		uint8_t version, pointer, count, table;
		int64_t frames;
	} __attribute__((packed)) frame_header;
	Elf64_Shdr sections[3];
	char names[64];
};

static struct tail tail_of(enum place place, uint64_t end, size_t size)
{
	static const char *const names[] = {".eh_frame", "", ".debug_frame", ".sframe"};
	struct tail tail = {.frame_header = {1, 4, 0xff, 0xff, CODE_SIZE}};

	tail.sections[1] = (Elf64_Shdr){
		.sh_name = 1,
		.sh_type = SHT_PROGBITS,
		.sh_addr = CODE_SIZE,
		.sh_offset = CODE_SIZE,
		.sh_size = size,
	};
	tail.sections[2] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB,
		.sh_offset = end + offsetof(struct tail, names),
		.sh_size = sizeof(tail.names),
	};
	snprintf(tail.names + 1, sizeof(tail.names) - 1, "%s", names[place]);
	return tail;
}

static void write_at(int fd, uint64_t offset, const void *bytes, size_t size)
{
	if (pwrite(fd, bytes, size, (off_t)offset) != (ssize_t)size)
		abort();
}

static int make_file(enum place place, const uint8_t *frames, size_t size)
{
	const uint64_t end = CODE_SIZE + size;
	struct tail tail = tail_of(place, end, size);
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[2];
	} head = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				   EV_CURRENT},
			.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = place == BY_HEADER ? 2 : 1,
			.e_shoff = place == BY_HEADER ? 0 : end + offsetof(struct tail, sections),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = place == BY_HEADER ? 0 : 3,
			.e_shstrndx = place == BY_HEADER ? 0 : 2},
		.segments = {{.p_type = PT_LOAD,
				     .p_flags = PF_R | PF_X,
				     .p_filesz = end + sizeof(tail),
				     .p_memsz = end + sizeof(tail)},
			{.p_type = PT_GNU_EH_FRAME, .p_vaddr = end, .p_filesz = sizeof(tail.frame_header)}},
	};
	int fd = memfd_create("input", MFD_CLOEXEC);

	write_at(fd, 0, &head, sizeof(head));
	write_at(fd, CODE_SIZE, frames, size);
	write_at(fd, end, &tail, sizeof(tail));
	return fd;
}

static int make_whole(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	write_at(fd, 0, bytes, size);
	return fd;
}

static void check_rows(const struct unwind_rows *rows, size_t size)
{
	const struct unwind_row *items = rows->rows.items;

	/* An entry makes two rows and has more bytes than that; so has whatever begins another row. */
	if (rows->rows.count > size || rows->rules.count > rows->rows.count + 1)
		abort();
	for (size_t i = 0; i < rows->rows.count; i++) {
		if (items[i].rule >= rows->rules.count ||
			(i && (items[i].offset <= items[i - 1].offset ||
				      items[i].rule == items[i - 1].rule)) ||
			unwind_rows_find(rows, items[i].offset) != rows->rules.items[items[i].rule])
			abort();
	}
	for (size_t i = 0; i < rows->rules.count; i++)
		if (unwind_rule_kind(rows->rules.items[i]) >= UNWIND_KINDS ||
			rows->rules.items[i] >> UNWIND_RULE_BITS)
			abort();
	if (rows->rows.count && unwind_rows_find(rows, UINT32_MAX) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct error err = {0};
	struct unwind_rows rows;
	struct elf_file *file;
	enum place place;
	int fd;

	if (size < 2)
		return 0;
	place = (enum place)(input[0] % PLACES);
	fd = place == WHOLE_FILE ? make_whole(input + 1, size - 1) : make_file(place, input + 1, size - 1);
	file = elf_file_open(fd, "/nonexistent/input", "/nonexistent", &err);
	close(fd);
	if (!file) {
		if (place != WHOLE_FILE)
			abort();
		return 0;
	}
	if (unwind_rows_build(file, &rows, &err) == 0)
		check_rows(&rows, place == WHOLE_FILE ? 64 * size : size);
	else if (err.code != ERROR_INPUT || !err.message[0])
		abort();
	unwind_rows_free(&rows);
	elf_file_close(file);
	return 0;
}
