// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/page.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "report/terminal.h"
#include "report/utf8.h"

#define NARROWEST                                                                                            \
	60 /* columns; on less, cutting would leave nothing to read, so lines are left to the terminal */

void page_init(struct page *page, FILE *out, int width, bool colour, bool unicode)
{
	*page = (struct page){.out = out, .colour = colour, .unicode = unicode};
	if (width > 0)
		page->width = width < NARROWEST ? NARROWEST : width;
}

void page_put(struct page *page, enum style style, const char *text)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "",
		[STYLE_BOLD] = "1",
		[STYLE_DIM] = "2",
		[STYLE_GOOD] = "32",
		[STYLE_WARNING] = "33",
		[STYLE_ALARM] = "1;31",
	};
	bool coloured = page->colour && style != STYLE_PLAIN && text[strspn(text, " ")];

	if (coloured)
		buffer_printf(&page->line, "\033[%sm", codes[style]);
	buffer_append_string(&page->line, text);
	if (coloured)
		buffer_append_string(&page->line, "\033[m");
	page->columns += utf8_columns(text);
}

void page_pad(struct page *page, size_t column)
{
	for (; page->columns < column; page->columns++)
		buffer_append(&page->line, " ", 1);
}

void page_put_right(struct page *page, enum style style, size_t column, const char *text)
{
	size_t columns = utf8_columns(text);

	if (columns < column)
		page_pad(page, column - columns);
	page_put(page, style, text);
}

size_t page_columns_left(const struct page *page)
{
	if (!page->width)
		return SIZE_MAX;
	return (size_t)page->width > page->columns ? (size_t)page->width - page->columns : 0;
}

void page_items_begin(struct page *page, size_t column)
{
	page->item_column = column;
	page->item_follows = false;
}

void page_item(struct page *page, enum style style, const char *format, ...)
{
	struct buffer text = {0};
	va_list args;

	va_start(args, format);
	buffer_vprintf(&text, format, args);
	va_end(args);
	if (page->width && text.count)
		terminal_shorten(
			&text, (size_t)page->width - page->item_column - 1, TERMINAL_CUT_END, page->unicode);
	if (page->item_follows) {
		/* Room for comma and blank before it, and for a comma behind it. */
		bool full = page->width &&
			    page->columns + utf8_columns(buffer_text(&text)) + 3 > (size_t)page->width;

		page_put(page, STYLE_PLAIN, full ? "," : ", ");
		if (full) {
			page_end_line(page);
			page_pad(page, page->item_column);
		}
	}
	page->item_follows = true;
	page_put(page, style, buffer_text(&text));
	page->failed |= text.failed;
	buffer_free(&text);
}

void page_words(struct page *page, enum style style, size_t column, const char *format, ...)
{
	struct buffer text = {0}, word = {0};
	bool first = true;
	va_list args;

	va_start(args, format);
	buffer_vprintf(&text, format, args);
	va_end(args);
	for (const char *at = buffer_text(&text); *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");

		buffer_clear(&word);
		buffer_append(&word, at, length);
		at += length;
		if (!length)
			continue;
		if (!first && page_columns_left(page) < 1 + utf8_columns(buffer_text(&word))) {
			page_end_line(page);
			page_pad(page, column);
		} else if (!first) {
			page_put(page, STYLE_PLAIN, " ");
		}
		if (page->width)
			terminal_shorten(
				&word, (size_t)page->width - column, TERMINAL_CUT_MIDDLE, page->unicode);
		page_put(page, style, buffer_text(&word));
		first = false;
	}
	page->failed |= text.failed || word.failed;
	buffer_free(&text);
	buffer_free(&word);
}

void page_end_line(struct page *page)
{
	struct buffer *line = &page->line;

	while (line->count && line->items[line->count - 1] == ' ')
		line->count--;
	buffer_append(line, "\n", 1);
	if (fwrite(buffer_text(line), 1, line->count, page->out) != line->count && !page->errnum)
		page->errnum = errno ? errno : EIO;
	buffer_clear(line);
	page->columns = 0;
}

int page_finish(struct page *page, struct error *err)
{
	bool failed = page->failed || page->line.failed;
	int errnum = page->errnum;

	if (fflush(page->out) && !errnum)
		errnum = errno;
	buffer_free(&page->line);
	if (errnum)
		return error_set_errno(err, errnum, "cannot write the report");
	if (failed)
		return error_set(err, ERROR_SYSTEM, "cannot print the report: out of memory");
	return 0;
}
