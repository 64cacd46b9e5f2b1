/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of text with columns and styles: what is put on a line is measured without its colours. Text given to
 * a page is written as it is; strings from a target go through terminal_escape() first.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "report/buffer.h"

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARNING, STYLE_ALARM };

struct page {
	FILE *out;
	struct buffer line;
	size_t columns; /* of the line so far */
	int width;	/* 0 when lines have no end */
	bool colour;
	bool unicode;
	bool failed;	    /* memory ran out or writing failed */
	int errnum;	    /* of a failed write, or 0 */
	size_t item_column; /* where a list of items continues on the next line */
	bool item_follows;  /* an item stands on the list already */
};

/** Begin a page. @param width columns; 0 for no end, and at least 60 otherwise */
void page_init(struct page *page, FILE *out, int width, bool colour, bool unicode);

/** Put text on the line. */
void page_put(struct page *page, enum style style, const char *text);

/** Put blanks on the line up to a column; nothing when the line is that long already. */
void page_pad(struct page *page, size_t column);

/** Put text so that it ends before a column; where it is too long for that, at once. */
void page_put_right(struct page *page, enum style style, size_t column, const char *text);

/** @return how many columns are left on the line; SIZE_MAX when lines have no end */
size_t page_columns_left(const struct page *page);

/** Begin a list of items separated by commas, which continues at a column when the line is full. */
void page_items_begin(struct page *page, size_t column);

/** Put an item of a list, on the next line when it does not fit on this one, cut when it does not fit on any.
 */
void page_item(struct page *page, enum style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * Put formatted text word by word, on the next line where a word does not fit on this one.
 *
 * @param column  where the next lines begin
 */
void page_words(struct page *page, enum style style, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/** Write the line out, without blanks at its end. */
void page_end_line(struct page *page);

/**
 * Flush the output and release the page's memory.
 *
 * @return 0, or -1 (ERROR_SYSTEM) when any write failed or memory ran out since page_init()
 */
int page_finish(struct page *page, struct error *err);
