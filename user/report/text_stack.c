// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <string.h>

#include "report/stack.h"
#include "report/terminal.h"
#include "report/text_internal.h"
#include "report/utf8.h"

#define FUNCTION_COLUMNS                                                                                     \
	60 /* that places in the source are aligned behind, when there is no width to go by */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* How many frames from this one on are the same function calling itself from the same line. */
static size_t repetitions(const struct profile_site *site, size_t first, size_t end)
{
	const struct profile_frame *a = &site->frames[first];
	size_t count = 1;

	while (first + count < end) {
		const struct profile_frame *b = &site->frames[first + count];

		if (!a->function || !same_text(a->function, b->function) || !same_text(a->file, b->file) ||
			a->line != b->line || a->inlined != b->inlined || !same_text(a->module, b->module))
			break;
		count++;
	}
	return count;
}

/* How a stack is laid out: on a page with a width, names and paths are shortened before they are cut. */
struct stack_layout {
	size_t function, place; /* columns */
	bool brief_places;	/* without folders */
};

static size_t frame_start(const struct report *report)
{
	return report->index_columns + 3;
}

/* Append a function's name, in short form when the full one takes more columns than there are. */
static void append_function(
	struct page *page, struct buffer *text, const struct profile_frame *frame, size_t columns)
{
	text_append_frame_name(text, frame, false, page->unicode);
	if (!page->width || utf8_columns(buffer_text(text)) <= columns)
		return;
	buffer_clear(text);
	text_append_frame_name(text, frame, true, page->unicode);
	text_shorten(page, text, columns, TERMINAL_CUT_MIDDLE);
}

static size_t widest_place(struct page *page, const struct profile_site *site, size_t end, bool brief)
{
	struct buffer text = {0};
	size_t widest = 0;

	for (size_t i = 0; i < end; i++) {
		size_t columns;

		buffer_clear(&text);
		text_append_place(&text, &site->frames[i], brief, page->unicode);
		columns = utf8_columns(buffer_text(&text));
		widest = columns > widest ? columns : widest;
	}
	page->failed |= text.failed;
	buffer_free(&text);
	return widest;
}

/* Does anything stand behind the frame's name? */
static bool has_place(const struct profile_frame *frame)
{
	return (frame->function && frame->function[0]) || (frame->file && frame->file[0]) || frame->inlined;
}

/* The widest name among frames that have something to stand behind it. */
static size_t widest_function(struct page *page, const struct profile_site *site, size_t end, size_t limit)
{
	struct buffer text = {0};
	size_t widest = 0;

	for (size_t i = 0; i < end; i++) {
		size_t columns;

		if (!has_place(&site->frames[i]))
			continue;
		buffer_clear(&text);
		append_function(page, &text, &site->frames[i], limit);
		columns = utf8_columns(buffer_text(&text));
		widest = columns > widest ? columns : widest;
	}
	page->failed |= text.failed;
	buffer_free(&text);
	return widest;
}

static struct stack_layout lay_out(struct report *report, const struct profile_site *site, size_t end)
{
	struct page *page = &report->page;
	struct stack_layout layout = {.place = widest_place(page, site, end, false)};
	size_t room;

	layout.function = widest_function(page, site, end, SIZE_MAX);
	if (!page->width) {
		if (layout.function > FUNCTION_COLUMNS)
			layout.function = FUNCTION_COLUMNS;
		return layout;
	}
	room = (size_t)page->width - frame_start(report) - 2;
	if (layout.function + layout.place <= room)
		return layout;
	layout.brief_places = true;
	layout.place = widest_place(page, site, end, true);
	if (layout.function + layout.place <= room)
		return layout;
	/* Neither takes more than its half unless the other leaves it room. */
	if (layout.place > room / 2)
		layout.place = layout.function < room / 2 ? room - layout.function : room / 2;
	layout.function = widest_function(page, site, end, room - layout.place);
	return layout;
}

static void print_frame(struct report *report, const struct profile_frame *frame,
	const struct stack_layout *layout, enum style style, size_t repeated)
{
	struct page *page = &report->page;
	size_t start = frame_start(report);
	struct buffer text = {0};

	page_pad(page, start - 2);
	page_put(page, style, style == STYLE_BOLD ? ">" : " ");
	page_pad(page, start);
	append_function(
		page, &text, frame, has_place(frame) ? layout->function : (size_t)page->width - start);
	page_put(page, style, buffer_text(&text));
	buffer_clear(&text);
	text_append_place(&text, frame, layout->brief_places, page->unicode);
	if (repeated > 1)
		buffer_printf(&text, " %s%zu", page->unicode ? "×" : "x", repeated);
	if (text.count) {
		page_pad(page, start + layout->function);
		page_put(page, STYLE_PLAIN, "  ");
		text_shorten(page, &text, page_columns_left(page), TERMINAL_CUT_START);
		page_put(page, style == STYLE_BOLD ? STYLE_PLAIN : STYLE_DIM, buffer_text(&text));
	}
	page_end_line(page);
	page->failed |= text.failed;
	buffer_free(&text);
}

/* Below the last frame of a stack that is cut: why nothing follows. */
static void print_cut(struct report *report, const struct profile_site *site)
{
	struct page *page = &report->page;
	const char *why = stack_end_name(site->stack_end);

	if (!site->frame_count || (!why && !site->frame_pointers))
		return;
	page_pad(page, frame_start(report));
	if (why)
		page_words(page, STYLE_DIM, frame_start(report), "(cut here: %s%s)", why,
			site->frame_pointers ? "; in part along frame pointers" : "");
	else
		page_words(page, STYLE_DIM, frame_start(report), "(in part along frame pointers)");
	page_end_line(page);
}

void text_print_stack(struct report *report, const struct profile_site *site)
{
	struct stack_view view = stack_view(site);
	struct stack_layout layout = lay_out(report, site, view.end);

	for (size_t i = 0; i < view.end;) {
		size_t repeated = repetitions(site, i, view.end);
		enum style style = STYLE_PLAIN;

		if (view.useful >= i && view.useful < i + repeated)
			style = STYLE_BOLD;
		else if (i < view.useful)
			style = STYLE_DIM;
		print_frame(report, &site->frames[i], &layout, style, repeated);
		i += repeated;
	}
	print_cut(report, site);
}
