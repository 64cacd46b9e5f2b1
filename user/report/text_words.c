// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "report/function_name.h"
#include "report/stack.h"
#include "report/terminal.h"
#include "report/text_internal.h"

bool text_site_grows(const struct profile_site *site)
{
	if (site->verdict == VERDICT_STEADY || site->verdict == VERDICT_TRANSIENT)
		return false;
	return site->factor.growth != GROWTH_CONSTANT && site->factor.leak >= 1;
}

const char *text_plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

void text_append_since(struct buffer *text, const struct profile *profile, double seconds)
{
	bool days = profile->duration > 72000; /* the clock alone would be ambiguous */
	size_t written = 0;
	double since_epoch;
	char clock[64];
	struct tm local;
	time_t when;

	if (!(seconds > profile->interval) || !(seconds <= profile->duration)) {
		buffer_append_string(text, "since the start");
		return;
	}
	since_epoch = (double)profile->start.tv_sec + (double)profile->start.tv_nsec / 1e9 + seconds;
	when = since_epoch > 0 && since_epoch < 1e11 ? (time_t)since_epoch : 0;
	if (localtime_r(&when, &local))
		written = days ? strftime(clock, sizeof(clock), "%m-%d %H:%M:%S", &local)
			       : strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	if (written)
		buffer_printf(text, "since %s", clock);
}

void text_append_frame_name(struct buffer *text, const struct profile_frame *frame, bool brief, bool unicode)
{
	struct buffer name = {0};

	if (frame->function && frame->function[0]) {
		if (brief)
			function_name_append_short(&name, frame->function);
		else
			buffer_append_string(&name, frame->function);
	} else if (frame->module && frame->module[0]) {
		buffer_printf(&name, "%s+0x%" PRIx64, path_file_name(frame->module), frame->offset);
	} else {
		buffer_printf(&name, "0x%" PRIx64, frame->address);
	}
	text->failed |= name.failed;
	terminal_escape(text, buffer_text(&name), name.count, unicode);
	buffer_free(&name);
}

void text_append_source(struct buffer *text, const struct profile_frame *frame, bool brief, bool unicode)
{
	const char *file = brief ? path_file_name(frame->file) : frame->file;

	if (!file || !*file)
		return;
	terminal_escape(text, file, strlen(file), unicode);
	if (frame->line > 0)
		buffer_printf(text, ":%d", frame->line);
}

void text_append_place(struct buffer *text, const struct profile_frame *frame, bool brief, bool unicode)
{
	text_append_source(text, frame, brief, unicode);
	if (frame->function && frame->function[0] && frame->module && frame->module[0]) {
		const char *module = path_file_name(frame->module);

		buffer_append_string(text, text->count ? " (" : "(");
		terminal_escape(text, module, strlen(module), unicode);
		buffer_append_string(text, ")");
	}
	if (frame->inlined)
		buffer_append_string(text, text->count ? " [inlined]" : "[inlined]");
}

const char *text_why_no_stack(const struct profile_site *site)
{
	return site->no_stack ? "no stack (stack table full)" : "no stack (no frames found)";
}

void text_put_process(struct page *page, pid_t pid, const char *comm, size_t size)
{
	struct buffer text = {0};

	if (comm && strnlen(comm, size)) {
		terminal_escape(&text, comm, size, page->unicode);
		buffer_printf(&text, " (pid %d)", (int)pid);
	} else {
		buffer_printf(&text, "pid %d", (int)pid);
	}
	page_item(page, STYLE_PLAIN, "%s", buffer_text(&text));
	page->failed |= text.failed;
	buffer_free(&text);
}

void text_shorten(struct page *page, struct buffer *text, size_t columns, enum terminal_cut cut)
{
	if (page->width)
		terminal_shorten(text, columns < 12 ? 12 : columns, cut, page->unicode);
}
