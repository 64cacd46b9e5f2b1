/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the text report share; for report/text*.c only. */
#pragma once

#include <stdint.h>

#include "report/buffer.h"
#include "report/page.h"
#include "report/terminal.h"
#include "report/text.h"
#include "trace/profile.h"

/* The report's chapters, in their order. */
enum chapter { LEAKED, GROWING, FILLING, AT_EXIT, UNJUDGED, STEADY, EMPTY, CHAPTERS };

struct listed_site {
	const struct profile_site *site;
};

struct chapter_sites {
	struct listed_site *items;
	size_t count, capacity;
	double leak, rate; /* bytes, and bytes per second, of all together */
	uint64_t live_bytes, live_blocks;
};

struct report {
	struct page page;
	const struct profile *profile;
	const struct report_text_options *options;
	struct chapter_sites chapters[CHAPTERS];
	bool several_processes; /* sites must say whose they are */
	size_t shown;		/* sites printed with their stacks so far */
	size_t index_columns;	/* of the number before a site: "12." */
};

/* text_words.c */

/** @return whether a site's growth is worth reporting: of a class that grows, and not judged to be harmless
 */
bool text_site_grows(const struct profile_site *site);

/** @return `one` for a count of 1, otherwise `many` */
const char *text_plural(uint64_t count, const char *one, const char *many);

/** Append "since 10:14:06" in local time, or "since the start". @param seconds since the session's start */
void text_append_since(struct buffer *text, const struct profile *profile, double seconds);

/** Append a frame's function, escaped: in its short form when brief; "module+0xOFFSET" when it has none. */
void text_append_frame_name(struct buffer *text, const struct profile_frame *frame, bool brief, bool unicode);

/** Append "server.c:120", escaped, without folders when brief; nothing when it is not known. */
void text_append_source(struct buffer *text, const struct profile_frame *frame, bool brief, bool unicode);

/** Append all of a frame that its name does not say: source, module, whether it is inlined. */
void text_append_place(struct buffer *text, const struct profile_frame *frame, bool brief, bool unicode);

/** @return what to say instead of a stack */
const char *text_why_no_stack(const struct profile_site *site);

/** Put "redis-server (pid 1234)" as an item. @param comm may be NULL; @param size bytes that it has at most
 */
void text_put_process(struct page *page, pid_t pid, const char *comm, size_t size);

/** Cut a text to a number of columns, at least 12, on a page that has a width. */
void text_shorten(struct page *page, struct buffer *text, size_t columns, enum terminal_cut cut);

/* text_header.c */

/** Print what was traced, the totals, the growth, what was lost, and the warnings. */
void text_print_header(struct report *report);

/* text_site.c */

/** Print a site with its numbers, details and stack. */
void text_print_site(struct report *report, const struct profile_site *site, enum chapter chapter);

/** Print a site as a row of a table: how much it holds, its own function and those that called it. */
void text_print_row(struct report *report, const struct profile_site *site);

/* text_stack.c */

/** Print a site's frames, innermost first; its first useful one is marked, the start of program or thread
 * left out. */
void text_print_stack(struct report *report, const struct profile_site *site);
