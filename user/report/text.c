// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/human.h"
#include "report/terminal.h"
#include "report/text_internal.h"

#define TABLE_ROWS 5 /* of sites that do not grow, when others do */

struct report_text_options report_text_options_for(int fd)
{
	return (struct report_text_options){
		.colour = terminal_has_colour(fd),
		.unicode = terminal_is_utf8(),
		.width = terminal_width(fd),
	};
}

static enum chapter chapter_of(const struct profile_site *site)
{
	if (!site->counts.live_bytes && !site->counts.live_blocks)
		return EMPTY;
	if (site->verdict == VERDICT_TRUE_LEAK)
		return LEAKED;
	if (site->exited)
		return AT_EXIT;
	if (text_site_grows(site))
		return site->factor.growth == GROWTH_LOGARITHMIC || site->verdict == VERDICT_CACHE ? FILLING
												   : GROWING;
	return site->verdict == VERDICT_UNKNOWN ? UNJUDGED : STEADY;
}

/* Chapters about what is held rather than about growth list the largest first. */
static int compare_live(const void *left, const void *right)
{
	const struct profile_site *a = ((const struct listed_site *)left)->site;
	const struct profile_site *b = ((const struct listed_site *)right)->site;

	if (a->counts.live_bytes != b->counts.live_bytes)
		return a->counts.live_bytes < b->counts.live_bytes ? 1 : -1;
	return (a->id > b->id) - (a->id < b->id);
}

static int sort_into_chapters(struct report *report)
{
	const struct profile *profile = report->profile;

	for (size_t i = 0; i < profile->sites.count; i++) {
		const struct profile_site *site = &profile->sites.items[i];
		struct chapter_sites *chapter = &report->chapters[chapter_of(site)];
		struct listed_site *item = array_push(chapter);

		if (!item)
			return -1;
		item->site = site;
		chapter->leak += isfinite(site->factor.leak) ? site->factor.leak : 0;
		chapter->rate += isfinite(site->factor.rate) ? site->factor.rate : 0;
		chapter->live_bytes += site->counts.live_bytes;
		chapter->live_blocks += site->counts.live_blocks;
		report->several_processes |= site->pid != profile->sites.items[0].pid;
	}
	for (enum chapter c = AT_EXIT; c <= STEADY; c++) {
		struct chapter_sites *chapter = &report->chapters[c];

		if (chapter->count > 1)
			qsort(chapter->items, chapter->count, sizeof(*chapter->items), compare_live);
	}
	return 0;
}

static void print_heading(struct report *report, enum chapter chapter)
{
	const struct chapter_sites *sites = &report->chapters[chapter];
	const char *site_word = text_plural(sites->count, "site", "sites");
	struct page *page = &report->page;
	char count[HUMAN_SIZE], bytes[HUMAN_SIZE], blocks[HUMAN_SIZE];

	human_count(count, sites->count);
	human_count(blocks, sites->live_blocks);
	switch (chapter) {
	case LEAKED:
		page_words(page, STYLE_BOLD, 0, "Leaked: nothing refers to %s in %s %s any more (%s %s)",
			human_bytes(bytes, sites->live_bytes), blocks,
			text_plural(sites->live_blocks, "block", "blocks"), count, site_word);
		break;
	case GROWING:
		page_words(page, STYLE_BOLD, 0, "Growing: %s at %s %s", human_change(bytes, sites->leak),
			count, site_word);
		break;
	case FILLING:
		page_words(page, STYLE_BOLD, 0, "Growing ever more slowly, as a cache fills: %s at %s %s",
			human_change(bytes, sites->leak), count, site_word);
		break;
	case AT_EXIT:
		page_words(page, STYLE_BOLD, 0, "Held at exit: %s in %s %s (%s %s)",
			human_bytes(bytes, sites->live_bytes), blocks,
			text_plural(sites->live_blocks, "block", "blocks"), count, site_word);
		break;
	case UNJUDGED:
		page_words(page, STYLE_BOLD, 0, "Held, too little seen to judge growth: %s in %s %s (%s %s)",
			human_bytes(bytes, sites->live_bytes), blocks,
			text_plural(sites->live_blocks, "block", "blocks"), count, site_word);
		break;
	default:
		page_words(page, STYLE_BOLD, 0, "Held, not growing: %s in %s %s (%s %s)",
			human_bytes(bytes, sites->live_bytes), blocks,
			text_plural(sites->live_blocks, "block", "blocks"), count, site_word);
	}
	page_end_line(page);
}

static void print_rest(
	struct report *report, const struct chapter_sites *sites, size_t first, bool empty_line)
{
	char count[HUMAN_SIZE], bytes[HUMAN_SIZE], blocks[HUMAN_SIZE];
	uint64_t live_bytes = 0, live_blocks = 0;

	if (first >= sites->count)
		return;
	for (size_t i = first; i < sites->count; i++) {
		live_bytes += sites->items[i].site->counts.live_bytes;
		live_blocks += sites->items[i].site->counts.live_blocks;
	}
	page_pad(&report->page, report->index_columns + 1);
	page_words(&report->page, STYLE_DIM, report->index_columns + 1,
		"and %s more %s that %s %s in %s %s (--top 0 shows all)",
		human_count(count, sites->count - first), text_plural(sites->count - first, "site", "sites"),
		text_plural(sites->count - first, "holds", "hold"), human_bytes(bytes, live_bytes),
		human_count(blocks, live_blocks), text_plural(live_blocks, "block", "blocks"));
	page_end_line(&report->page);
	if (empty_line)
		page_end_line(&report->page);
}

static void print_chapter(struct report *report, enum chapter chapter)
{
	const struct chapter_sites *sites = &report->chapters[chapter];
	size_t i;

	if (!sites->count)
		return;
	print_heading(report, chapter);
	page_end_line(&report->page);
	for (i = 0; i < sites->count && (!report->options->top || report->shown < report->options->top); i++)
		text_print_site(report, sites->items[i].site, chapter);
	print_rest(report, sites, i, true);
}

static void print_steady(struct report *report)
{
	const struct chapter_sites *sites = &report->chapters[STEADY];
	size_t rows = report->options->top ? report->options->top : sites->count;

	if (!sites->count)
		return;
	if (report->options->top && report->shown && rows > TABLE_ROWS)
		rows = TABLE_ROWS;
	print_heading(report, STEADY);
	for (size_t i = 0; i < rows && i < sites->count; i++)
		text_print_row(report, sites->items[i].site);
	print_rest(report, sites, rows, false);
	page_end_line(&report->page);
}

/* What the chapters leave out: sites that hold nothing, and what filters hide from the list but not from the
 * totals. */
static void print_remainder(struct report *report)
{
	const struct profile *profile = report->profile;
	char bytes[HUMAN_SIZE], count[HUMAN_SIZE];
	uint64_t listed_bytes = 0, listed_blocks = 0;
	struct page *page = &report->page;
	size_t empty = report->chapters[EMPTY].count;

	for (size_t i = 0; i < profile->sites.count; i++) {
		listed_bytes += profile->sites.items[i].counts.live_bytes;
		listed_blocks += profile->sites.items[i].counts.live_blocks;
	}
	if (empty) {
		page_words(page, STYLE_DIM, 0, "%s %s freed all that %s allocated.",
			human_count(count, empty), text_plural(empty, "site", "sites"),
			text_plural(empty, "it", "they"));
		page_end_line(page);
	}
	if (profile->totals.live_bytes > listed_bytes && profile->totals.live_blocks >= listed_blocks) {
		page_words(page, STYLE_DIM, 0, "%s in %s %s belong to sites that are not listed.",
			human_bytes(bytes, profile->totals.live_bytes - listed_bytes),
			human_count(count, profile->totals.live_blocks - listed_blocks),
			text_plural(profile->totals.live_blocks - listed_blocks, "block", "blocks"));
		page_end_line(page);
	}
	if (!profile->sites.count && !profile->totals.allocations) {
		page_words(page, STYLE_PLAIN, 0,
			"Nothing was allocated through the traced functions in this time.");
		page_end_line(page);
	}
}

static void print_report(struct report *report)
{
	text_print_header(report);
	for (enum chapter chapter = LEAKED; chapter <= UNJUDGED; chapter++)
		print_chapter(report, chapter);
	print_steady(report);
	print_remainder(report);
}

int report_text(FILE *out, const struct profile *profile, const struct report_text_options *options,
	struct error *err)
{
	struct report report = {.profile = profile, .options = options};
	char digits[HUMAN_SIZE];
	int result = -1;

	page_init(&report.page, out, options->width, options->colour, options->unicode);
	report.index_columns = (size_t)snprintf(digits, sizeof(digits), "%zu", profile->sites.count) + 1;
	if (options->top && options->top < profile->sites.count)
		report.index_columns = (size_t)snprintf(digits, sizeof(digits), "%zu", options->top) + 1;
	if (report.index_columns < 3)
		report.index_columns = 3;
	if (sort_into_chapters(&report)) {
		error_set(err, ERROR_SYSTEM, "cannot print the report: out of memory");
		goto out;
	}
	print_report(&report);
	result = page_finish(&report.page, err);
out:
	for (enum chapter chapter = LEAKED; chapter < CHAPTERS; chapter++)
		array_free(&report.chapters[chapter]);
	return result;
}
