#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# seeds_unwind.sh DIRECTORY: fill it with call frame information for fuzz_unwind to start from, in all formats.
set -euo pipefail

directory=$1
mkdir -p "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/seed.c" <<'END'
int callee(int *, int);
int leaf(int x) { return x * 3; }
int caller(int x) { int array[20]; return callee(array, x) + array[x]; }
int framed(int x) { int array[x]; return callee(array, x); }
int realigned(int x) { int array[x] __attribute__((aligned(64))); return x > 3 ? callee(array, x) : 0; }
END

# seed NAME PLACE SECTION FLAGS...: a section of the library, or all of it, behind the byte that says which it is. Flags
# that the compiler does not know cost that seed only.
seed() {
	local name=$1 place=$2 section=$3
	shift 3
	(cd "$work" && rm -f seed.bin && gcc -shared -nostdlib -fPIC -O2 "$@" seed.c -o seed.so 2>/dev/null &&
		{ [ "$section" = all ] && mv seed.so seed.bin || objcopy --dump-section "$section=seed.bin" seed.so; } 2>/dev/null) ||
		return 0
	{ printf '%b' "\\x0$place" && cat "$work/seed.bin"; } >"$directory/$name"
}

no_eh_frame=(-g -fno-asynchronous-unwind-tables -fno-unwind-tables)
seed eh-frame 0 .eh_frame
seed eh-frame-pushes 0 .eh_frame -mpush-args -mno-accumulate-outgoing-args -Os
seed eh-frame-frames 0 .eh_frame -O0 -fno-omit-frame-pointer
seed eh-frame-by-header 1 .eh_frame
seed debug-frame 2 .debug_frame "${no_eh_frame[@]}"
seed debug-frame-64 2 .debug_frame "${no_eh_frame[@]}" -gdwarf64
seed sframe 3 .sframe -Wa,--gsframe
seed sframe-frames 3 .sframe -Wa,--gsframe -fno-omit-frame-pointer
seed whole-file 4 all -s
seed whole-file-compressed 4 all "${no_eh_frame[@]}" -gz=zlib
