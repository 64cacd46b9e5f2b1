#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# deps.sh [build] [test] [lint] [fuzz] [vm] [all]: install what is missing, with apt, and say what. Without an argument:
# what building needs. Does nothing when nothing is missing. "all" is all but vm, which only `make vmtest` needs.
# deps.sh --print GROUP...: the names only.
set -euo pipefail

build=(gcc g++ make clang llvm bpftool libbpf-dev libelf-dev libdw-dev libzydis-dev libjansson-dev libiberty-dev
	libc6-dev)
test=(libcmocka-dev python3 binutils util-linux mount sqlite3 xz-utils redis-server redis-tools musl-tools
	libjemalloc-dev libgoogle-perftools-dev libmimalloc-dev valgrind heaptrack libc6-dbg dwz clang-format cppcheck)
lint=(clang-format clang-tidy cppcheck shellcheck python3)
fuzz=(clang)
vm=(qemu-system-x86 busybox-static cpio xz-utils zstd util-linux debian-archive-keyring)

# clang's fuzzer and sanitizers come in a package of their own, named after its version.
if command -v clang >/dev/null; then
	fuzz+=("libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev")
else
	fuzz+=(libclang-rt-14-dev)
fi

print=no
packages=("${build[@]}")
for group in "$@"; do
	case $group in
	--print) print=yes ;;
	build) ;;
	test) packages+=("${test[@]}") ;;
	lint) packages+=("${lint[@]}") ;;
	fuzz) packages+=("${fuzz[@]}") ;;
	vm) packages+=("${vm[@]}") ;;
	all) packages+=("${test[@]}" "${lint[@]}" "${fuzz[@]}") ;;
	*)
		echo "deps.sh: unknown group: $group (build, test, lint, fuzz, vm or all)" >&2
		exit 2
		;;
	esac
done
if [ "$print" = yes ]; then
	printf '%s\n' "${packages[@]}" | sort -u
	exit 0
fi

if ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: this is no Debian: install what these packages hold:" "${packages[@]}" >&2
	exit 0
fi

# One query for all of them; a virtual or unknown package is simply not in the answer.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
missing=()
for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
	grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps.sh: missing packages: not root (run: sudo apt-get install ${missing[*]})" >&2
	exit 1
fi
echo "deps.sh: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# A server that only tests start has no business running by itself.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
