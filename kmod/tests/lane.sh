# SPDX-License-Identifier: GPL-2.0-or-later
# What the lanes of the kernel tests share (sourced by scripts/run-kmod-tests and scripts/run-uml-tests): the root of
# the machine under test and the verdict on its console.

lane_build() { # folder, make arguments: the module with its deliberate faults, the tests, a root without /init
	local work=$1
	shift
	mkdir -p "$work"
	make -s -C kmod OUT="$work/module" DMRC_TEST_MUTATIONS=y "$@" >"$work/build.log" 2>&1 ||
		{ cat "$work/build.log"; exit 1; }
	make -s -C kmod/tests OUT="$work/kmod-tests"
	rm -rf "$work/root"
	mkdir -p "$work/root"/{bin,dev,proc,sys,tmp,modules}
	cp /bin/busybox "$work/root/bin/"
	cp "$work/kmod-tests" "$work/module/dm-remotecopy.ko" "$work/root/"
}

lane_initramfs() { # folder; standard input: what /init does between mounting and the tests; $pattern: which tests
	local root=$1/root
	{
		echo '#!/bin/busybox sh'
		echo '/bin/busybox --install -s /bin'
		echo 'mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp'
		echo 'dmesg -n 3'
		cat
		echo 'insmod /dm-remotecopy.ko || echo "FAIL the module does not load"'
		echo "/kmod-tests '$pattern'"
		echo 'rmmod dm-remotecopy || echo "FAIL the module does not unload"'
		echo 'echo kmod-tests-end'
		echo 'poweroff -f'
	} >"$root/init"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$1/initramfs"
}

lane_show() { # console on standard input: what people want to see of it
	grep --line-buffered -aE '^(ok  |FAIL|skip|run  |  [^ ]|---- |kmod-tests[:-])' || true
}

lane_verdict() { # lane, console log: the closing line; false when something failed
	local lane=$1 log=$2 passed failed skipped
	passed=$(grep -ac '^ok  ' "$log" || true)
	failed=$(grep -ac '^FAIL' "$log" || true)
	skipped=$(grep -ac '^skip ' "$log" || true)
	if ! grep -aq '^kmod-tests-end' "$log"; then
		failed=$((failed + 1))
		echo "FAIL the machine did not come to the end of the tests; the last lines of its console:"
		tail -40 "$log"
	fi
	if [ "$((passed + failed + skipped))" = 0 ]; then
		echo "FAIL no test matches '$pattern'"
		failed=1
	fi
	echo "$lane: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
