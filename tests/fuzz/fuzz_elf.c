// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: an ELF file of any content must be opened or refused, and if opened be walked, read and
 * symbolized, without a crash, a hang or more memory than its size warrants. Small shared libraries with
 * debug info (cc -shared -nostdlib -O2 -g) are good seeds.
 */
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "elf/symbolize.h"

#define SYMBOLIZED_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *input, size_t size, size_t size_max);

struct addresses {
	uint64_t items[SYMBOLIZED_MAX];
	size_t count;
};

static bool take_function(const struct elf_symbol *symbol, void *data)
{
	struct addresses *addresses = data;

	free(demangle(symbol->name));
	addresses->items[addresses->count++] = symbol->address + symbol->size / 2;
	return addresses->count < SYMBOLIZED_MAX / 2;
}

/* Code is where the first offsets of the file lead to, and at the places the input itself names. */
static void take_other_addresses(
	struct elf_file *file, const uint8_t *input, size_t size, struct addresses *addresses)
{
	for (size_t i = 0; addresses->count < SYMBOLIZED_MAX; i++) {
		uint64_t address = 0;

		if (!elf_file_offset_to_address(file, i * size / SYMBOLIZED_MAX, &address) && size > 8)
			address = *(const uint16_t *)(input + (i * 2 & 6));
		addresses->items[addresses->count++] = address;
	}
}

static void look_at(struct elf_file *file, uint64_t address)
{
	struct source_frames frames = {0};
	uint8_t code[64];
	uint64_t offset;

	elf_file_read_code(file, address, code, sizeof(code));
	if (elf_file_address_to_offset(file, address, &offset))
		elf_file_offset_to_address(file, offset, &address);
	if (symbolize(file, address, &frames) == 0) {
		for (size_t i = 0; i < frames.count; i++)
			if (frames.items[i].inlined != (i + 1 < frames.count))
				abort();
	}
	source_frames_free(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	_cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
	struct addresses addresses = {.count = 0};
	struct elf_file *file;
	struct error err;
	size_t id_size;

	if (fd < 0 || write(fd, input, size) != (ssize_t)size)
		abort();
	file = elf_file_open(fd, "/nonexistent/input", "", &err);
	if (!file) {
		if (err.code == ERROR_NONE || !err.message[0])
			abort();
		return 0;
	}
	elf_file_build_id(file, &id_size);
	elf_file_is_dynamic(file);
	elf_file_for_each_function(file, take_function, &addresses);
	take_other_addresses(file, input, size, &addresses);
	for (size_t i = 0; i < addresses.count; i++)
		look_at(file, addresses.items[i]);
	elf_file_close(file);
	return 0;
}

/* @return a section's bytes in the input, of which `*length` may be changed; NULL when there is no such
 * section */
static uint8_t *section_bytes(uint8_t *input, size_t size, unsigned number, size_t *length)
{
	Elf64_Ehdr header;
	Elf64_Shdr section;
	uint64_t at;

	if (size < sizeof(header))
		return NULL;
	memcpy(&header, input, sizeof(header));
	if (!header.e_shnum || header.e_shoff > size)
		return NULL;
	at = header.e_shoff + number % header.e_shnum * sizeof(section);
	if (at > size || size - at < sizeof(section))
		return NULL;
	memcpy(&section, input + at, sizeof(section));
	if (section.sh_type == SHT_NOBITS || !section.sh_size || section.sh_offset > size ||
		section.sh_size > size - section.sh_offset)
		return NULL;
	*length = section.sh_size;
	return input + section.sh_offset;
}

/* Most changes anywhere in a file break its headers and get no further; so most are made inside of one
 * section. */
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t size_max, unsigned seed)
{
	uint8_t *bytes = NULL;
	size_t length = 0;

	if (seed % 8)
		bytes = section_bytes(input, size, seed / 8, &length);
	if (!bytes)
		return LLVMFuzzerMutate(input, size, size_max);
	LLVMFuzzerMutate(bytes, length, length);
	return size;
}
