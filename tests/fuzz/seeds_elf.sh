#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# seeds_elf.sh DIRECTORY: fill it with small libraries for fuzz_elf to start from, one for each way that debug info is
# written. From nothing, a fuzzer does not find its way to an ELF file with DWARF in it.
set -euo pipefail

directory=$1
mkdir -p "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/seed.c" <<'END'
struct pair { int count; char bytes[4]; };
static inline int leaf(int x) { return x * 3 + 1; }
static inline int middle(int x) { int sum = 0; for (int i = 0; i < x; i++) sum += leaf(i); return sum; }
__attribute__((noinline)) int outer(struct pair *pair) { return middle(pair->count) + leaf(pair->bytes[1]); }
int other(int x) { struct pair pair = {x, {1, 2, 3, 4}}; return x > 3 ? outer(&pair) * 2 : outer(&pair); }
END
cat >"$work/seed.cc" <<'END'
namespace ns {
template <class T> static inline T twice(T x) { return x + x; }
struct counter { int add(int); };
int counter::add(int x) { return twice(x); }
namespace { __attribute__((noinline)) int secret(int x) { return x * 7; } }
int use(int x) { auto sum = [x](int y) { return x + y; }; return secret(sum(3)); }
}
END

# build NAME COMPILER SOURCE FLAGS...: a compiler that is missing, or does not know a flag, costs that seed only.
build() {
	local name=$1 compiler=$2 source=$3
	shift 3
	(cd "$work" && "$compiler" -shared -nostdlib -fPIC -O2 "$@" "$source" -o "$name") 2>/dev/null || return 0
	mv "$work/$name" "$directory/"
}

for version in 3 4 5; do
	build "gcc-$version" gcc seed.c "-gdwarf-$version"
	build "clang-$version" clang seed.c "-gdwarf-$version"
	build "g++-$version" g++ seed.cc "-gdwarf-$version"
	build "clang++-$version" clang++ seed.cc "-gdwarf-$version"
done
build gcc-64 gcc seed.c -g -gdwarf64
build gcc-compressed gcc seed.c -g -gz=zlib
build gcc-compressed-gnu gcc seed.c -g -gz=zlib-gnu
build gcc-sections gcc seed.c -gdwarf-4 -ffunction-sections
build gcc-split gcc seed.c -g -gsplit-dwarf
build g++-types g++ seed.cc -gdwarf-4 -fdebug-types-section
build gcc-stripped gcc seed.c -s
