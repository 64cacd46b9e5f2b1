// SPDX-License-Identifier: GPL-2.0-or-later
/* walker: run the tests. Exit status: 0 when all passed, 1 when one failed, 77 when they cannot be run here.
 */
#include "tests/walker/walker.h"

#include <stdio.h>

int main(void)
{
	struct error err = {0};
	int failed;

	if (scene_open(&err)) {
		fprintf(stderr, "walker: %s\n", err.message);
		scene_close();
		return err.code == ERROR_UNSUPPORTED ? 77 : 1;
	}
	failed = rules_tests() + ends_tests() + rows_tests() + memos_tests();
	scene_close();
	return failed ? 1 : 0;
}
