// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/folded.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/buffer.h"
#include "report/stack.h"
#include "report/terminal.h"
#include "report/utf8.h"

/* Append a name with what has a meaning in the format, or breaks lines, replaced. */
static void append_name(struct buffer *line, const char *name, size_t size)
{
	size_t length = strnlen(name, size);

	for (size_t at = 0; at < length;) {
		uint32_t character;
		size_t bytes = utf8_decode(name + at, length - at, &character);

		if (!bytes)
			buffer_append_string(line, "\xef\xbf\xbd");
		else if (character == ';')
			buffer_append_string(line, ":");
		else if (character == ' ' || !terminal_is_harmless(character, true))
			buffer_append_string(line, "_");
		else
			buffer_append(line, name + at, bytes);
		at += bytes ? bytes : 1;
	}
}

static void append_frame(struct buffer *line, const struct profile_frame *frame)
{
	buffer_append_string(line, ";");
	if (frame->function && frame->function[0]) {
		append_name(line, frame->function, SIZE_MAX);
	} else if (frame->module && frame->module[0]) {
		append_name(line, path_file_name(frame->module), SIZE_MAX);
		buffer_printf(line, "+0x%" PRIx64, frame->offset);
	} else {
		buffer_printf(line, "0x%" PRIx64, frame->address);
	}
	if (frame->inlined)
		buffer_append_string(line, "_[i]");
}

static void append_site(struct buffer *line, const struct profile_site *site)
{
	if (site->comm[0])
		append_name(line, site->comm, sizeof(site->comm));
	else
		buffer_printf(line, "pid_%d", (int)site->pid);
	for (size_t i = site->frames ? site->frame_count : 0; i > 0; i--)
		append_frame(line, &site->frames[i - 1]);
	if (!site->frames || !site->frame_count)
		buffer_append_string(line, site->no_stack ? ";[stack_table_full]" : ";[no_stack]");
	buffer_printf(line, " %" PRIu64 "\n", site->counts.live_bytes);
}

int report_folded(FILE *out, const struct profile *profile, struct error *err)
{
	struct buffer line = {0};
	int errnum = 0;
	bool no_memory;

	for (size_t i = 0; i < profile->sites.count && !errnum && !line.failed; i++) {
		if (!profile->sites.items[i].counts.live_bytes)
			continue;
		buffer_clear(&line);
		append_site(&line, &profile->sites.items[i]);
		if (fwrite(buffer_text(&line), 1, line.count, out) != line.count)
			errnum = errno ? errno : EIO;
	}
	no_memory = line.failed;
	buffer_free(&line);
	if (fflush(out) && !errnum)
		errnum = errno;
	if (errnum)
		return error_set_errno(err, errnum, "cannot write the folded stacks");
	if (no_memory)
		return error_set(err, ERROR_SYSTEM, "cannot write the folded stacks: out of memory");
	return 0;
}
