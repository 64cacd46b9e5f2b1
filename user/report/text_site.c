// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <string.h>

#include "base/human.h"
#include "report/sparkline.h"
#include "report/stack.h"
#include "report/terminal.h"
#include "report/text_internal.h"

#define AMOUNT_COLUMNS 11 /* "+1023.9 MiB" */
#define DETAIL_COLUMNS 13 /* "123.4 KiB/min", "1,234 blocks" */
#define GAP	       2  /* columns between the numbers and the text beside them */
#define SPARKLINE      20 /* columns */
#define CALLER_CHAIN   4  /* functions named in a row of the table */

/* The column where the text beside a site's numbers begins. */
static size_t site_text_column(const struct report *report)
{
	return report->index_columns + 1 + AMOUNT_COLUMNS + 2 + DETAIL_COLUMNS + GAP;
}

/* The two numbers in front of a site, each flush right in its column. */
static void put_numbers(struct report *report, const char *amount, enum style style, const char *detail)
{
	struct page *page = &report->page;

	page_put_right(page, style, report->index_columns + 1 + AMOUNT_COLUMNS, amount);
	page_put(page, STYLE_PLAIN, "  ");
	page_put_right(page, STYLE_PLAIN, site_text_column(report) - GAP, detail);
	page_put(page, STYLE_PLAIN, "  ");
}

static void put_headline_place(struct report *report, const struct profile_site *site)
{
	struct stack_view view = stack_view(site);
	struct page *page = &report->page;
	struct buffer name = {0}, source = {0};
	size_t room;

	if (!view.end) {
		page_put(page, STYLE_BOLD, text_why_no_stack(site));
		return;
	}
	text_append_frame_name(&name, &site->frames[view.useful], true, page->unicode);
	text_append_source(&source, &site->frames[view.useful], true, page->unicode);
	room = page_columns_left(page);
	if (source.count && page->width)
		room = room > source.count + 2 ? room - source.count - 2 : 0;
	text_shorten(page, &name, room, TERMINAL_CUT_MIDDLE);
	page_put(page, STYLE_BOLD, buffer_text(&name));
	if (source.count && page_columns_left(page) > source.count + 1) {
		page_put(page, STYLE_PLAIN, "  ");
		page_put(page, STYLE_PLAIN, buffer_text(&source));
	}
	page->failed |= name.failed || source.failed;
	buffer_free(&name);
	buffer_free(&source);
}

/*
 * When a site began to grow. A flat start of at least a fifth of its series, within 2 % of the later rise, is
 * not part of the growth; anything less clear counts from the site's first block.
 */
static double growth_began(const struct profile_site *site)
{
	const struct series_point *points = site->points;
	size_t count = points ? site->point_count : 0, flat = 0;
	double rise, span;

	if (count < 5)
		return site->first_seen;
	rise = (double)points[count - 1].bytes - (double)points[0].bytes;
	span = points[count - 1].time - points[0].time;
	if (!(rise > 0) || !(span > 0))
		return site->first_seen;
	while (flat + 1 < count &&
		fabs((double)points[flat + 1].bytes - (double)points[0].bytes) <= rise * 0.02)
		flat++;
	return points[flat].time - points[0].time >= span / 5 ? points[flat].time : site->first_seen;
}

static void put_growth_items(struct report *report, const struct profile_site *site, bool growth_first)
{
	struct page *page = &report->page;
	struct buffer since = {0};

	if (text_site_grows(site)) {
		const char *class_name = growth_class_name(site->factor.growth);

		if (isfinite(site->factor.r2))
			page_item(page, STYLE_PLAIN, "%s (R%s %.2f)", class_name, page->unicode ? "²" : "2",
				site->factor.r2);
		else
			page_item(page, STYLE_PLAIN, "%s", class_name);
		text_append_since(&since, report->profile, growth_began(site));
		page_item(page, STYLE_PLAIN, "%s", buffer_text(&since));
	} else if (growth_first || site->first_seen > report->profile->interval) {
		text_append_since(&since, report->profile, site->first_seen);
		page_item(page, STYLE_PLAIN, "%s", buffer_text(&since));
	}
	page->failed |= since.failed;
	buffer_free(&since);
}

/* How much of what the site allocated was freed: a site that never frees is another bug than one that forgets
 * some. */
static void put_freed_item(struct page *page, const struct profile_counts *counts)
{
	char freed[HUMAN_SIZE], allocated[HUMAN_SIZE];

	if (!counts->allocations)
		return;
	if (!counts->frees)
		page_item(page, STYLE_PLAIN, "never freed");
	else
		page_item(page, STYLE_PLAIN, "%s of %s freed", human_count(freed, counts->frees),
			human_count(allocated, counts->allocations));
}

static void put_owner_items(struct report *report, const struct profile_site *site)
{
	struct page *page = &report->page;

	if (site->domain && strcmp(site->domain, "heap") != 0)
		page_item(page, STYLE_PLAIN, "%s", site->domain);
	if (report->several_processes)
		text_put_process(page, site->pid, site->comm, sizeof(site->comm));
}

static void print_details(struct report *report, const struct profile_site *site, enum chapter chapter)
{
	bool about_growth = chapter == GROWING || chapter == FILLING;
	struct page *page = &report->page;
	struct buffer picture = {0};
	char bytes[HUMAN_SIZE], count[HUMAN_SIZE];

	if (page->unicode && sparkline_append(&picture, site->points, site->point_count, SPARKLINE, 0,
				     report->profile->duration, !about_growth)) {
		page_pad(page, site_text_column(report) - GAP - SPARKLINE);
		page_put(page, STYLE_PLAIN, buffer_text(&picture));
	}
	page->failed |= picture.failed;
	buffer_free(&picture);
	page_pad(page, site_text_column(report));
	page_items_begin(page, site_text_column(report));
	if (site->verdict == VERDICT_LOGICAL_LEAK || site->verdict == VERDICT_TRUE_LEAK)
		page_item(page, STYLE_ALARM, "%s", verdict_name(site->verdict));
	if (about_growth) {
		put_growth_items(report, site, true);
		page_item(page, STYLE_PLAIN, "holds %s in %s %s", human_bytes(bytes, site->counts.live_bytes),
			human_count(count, site->counts.live_blocks),
			text_plural(site->counts.live_blocks, "block", "blocks"));
		put_freed_item(page, &site->counts);
	} else {
		put_freed_item(page, &site->counts);
		put_growth_items(report, site, false);
		if (text_site_grows(site))
			page_item(page, STYLE_PLAIN, "%s", human_rate(bytes, site->factor.rate));
	}
	put_owner_items(report, site);
	page_end_line(page);
}

void text_print_site(struct report *report, const struct profile_site *site, enum chapter chapter)
{
	static const enum style styles[CHAPTERS] = {[LEAKED] = STYLE_ALARM,
		[GROWING] = STYLE_ALARM,
		[FILLING] = STYLE_WARNING,
		[AT_EXIT] = STYLE_BOLD};
	char amount[HUMAN_SIZE], detail[HUMAN_SIZE + 8], number[HUMAN_SIZE];
	struct page *page = &report->page;

	snprintf(number, sizeof(number), "%zu.", ++report->shown);
	page_put_right(page, STYLE_PLAIN, report->index_columns, number);
	if (chapter == GROWING || chapter == FILLING) {
		human_change(amount, site->factor.leak);
		human_rate(detail, site->factor.rate);
	} else {
		human_bytes(amount, site->counts.live_bytes);
		snprintf(detail, sizeof(detail), "%s %s", human_count(number, site->counts.live_blocks),
			text_plural(site->counts.live_blocks, "block", "blocks"));
	}
	put_numbers(report, amount, styles[chapter] ? styles[chapter] : STYLE_BOLD, detail);
	put_headline_place(report, site);
	page_end_line(page);
	print_details(report, site, chapter);
	text_print_stack(report, site);
	page_end_line(page);
}

void text_print_row(struct report *report, const struct profile_site *site)
{
	struct stack_view view = stack_view(site);
	char bytes[HUMAN_SIZE], count[HUMAN_SIZE], detail[HUMAN_SIZE + 8];
	struct page *page = &report->page;
	struct buffer text = {0};

	snprintf(detail, sizeof(detail), "%s %s", human_count(count, site->counts.live_blocks),
		text_plural(site->counts.live_blocks, "block", "blocks"));
	put_numbers(report, human_bytes(bytes, site->counts.live_bytes), STYLE_PLAIN, detail);
	if (!view.end)
		buffer_append_string(&text, text_why_no_stack(site));
	for (size_t i = view.useful; i < view.end && i < view.useful + CALLER_CHAIN; i++) {
		if (i > view.useful)
			buffer_append_string(&text, page->unicode ? " ← " : " <- ");
		text_append_frame_name(&text, &site->frames[i], true, page->unicode);
		if (i == view.useful) {
			buffer_append_string(&text, site->frames[i].file ? " " : "");
			text_append_source(&text, &site->frames[i], true, page->unicode);
		}
	}
	text_shorten(page, &text, page_columns_left(page), TERMINAL_CUT_END);
	page_put(page, STYLE_PLAIN, buffer_text(&text));
	page_end_line(page);
	page->failed |= text.failed;
	buffer_free(&text);
}
