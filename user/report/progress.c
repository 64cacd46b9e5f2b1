// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/human.h"
#include "report/terminal.h"

#define LONGEST 256 /* bytes of a line */

void progress_init(struct progress *progress, FILE *out)
{
	*progress = (struct progress){.out = isatty(fileno(out)) ? out : NULL};
}

char *progress_text(char *text, size_t size, const struct progress_numbers *numbers)
{
	char elapsed[HUMAN_SIZE], total[HUMAN_SIZE + 8] = "", calls[HUMAN_SIZE], live[HUMAN_SIZE],
						     sites[HUMAN_SIZE];
	char lost[HUMAN_SIZE + 16] = "", number[HUMAN_SIZE];

	if (numbers->total > 0)
		snprintf(total, sizeof(total), " of %s", human_duration(number, numbers->total));
	if (numbers->lost)
		snprintf(lost, sizeof(lost), ", %s lost", human_count(number, numbers->lost));
	snprintf(text, size, "%s%s: %s calls, %s live, %s sites%s", human_duration(elapsed, numbers->elapsed),
		total, human_count(calls, numbers->calls), human_bytes(live, numbers->live_bytes),
		human_count(sites, numbers->sites), lost);
	return text;
}

/*
 * Only \r and blanks are used, so that it works on terminals of any kind; the last column stays empty, since
 * some terminals go to the next line when it is filled.
 */
void progress_update(struct progress *progress, const struct progress_numbers *numbers)
{
	char text[LONGEST];
	size_t length, padding;
	int width;

	if (!progress->out)
		return;
	progress_text(text, sizeof(text), numbers);
	length = strlen(text);
	width = terminal_width(fileno(progress->out));
	if (width > 0 && length > (size_t)width - 1) {
		length = (size_t)width - 1;
		text[length] = '\0';
	}
	/* Where the terminal became narrower the old line wrapped: no more can be wiped than fits on one
	 * line. */
	padding = progress->columns > length ? progress->columns - length : 0;
	if (width > 0 && length + padding > (size_t)width - 1)
		padding = (size_t)width - 1 - length;
	fprintf(progress->out, "\r%s%*s\r%s", text, (int)padding, "", text);
	fflush(progress->out);
	progress->columns = length;
}

void progress_clear(struct progress *progress)
{
	if (!progress->out || !progress->columns)
		return;
	fprintf(progress->out, "\r%*s\r", (int)progress->columns, "");
	fflush(progress->out);
	progress->columns = 0;
}
