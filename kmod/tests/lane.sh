# SPDX-License-Identifier: GPL-2.0-or-later
# What the lanes of the kernel tests share (sourced by scripts/run-kmod-tests and run-uml-tests): the root of the
# machine under test, QEMU and the verdict on its console.

lane_build() { # folder, make arguments: the module with its deliberate faults, the tests, a root without /init
	local work=$1
	shift
	mkdir -p "$work"
	make -s -C kmod OUT="$work/module" DMRC_TEST_MUTATIONS=y "$@" >"$work/build.log" 2>&1 ||
		{ cat "$work/build.log"; exit 1; }
	# All lanes run the same program, and two lanes may begin at once.
	local program=$PWD/build/kmod-tests-program/kmod-tests
	mkdir -p "${program%/*}"
	flock "${program%/*}" make -s -C kmod/tests -j"$(nproc)" OUT="$program"
	rm -rf "$work/root"
	mkdir -p "$work/root"/{bin,dev,proc,sys,tmp,modules}
	cp /bin/busybox "$work/root/bin/"
	cp "$program" "$work/module/dm-remotecopy.ko" "$work/root/"
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

# Programs of this machine that tests run, with their libraries: the first part of the initramfs, made once for each
# version of them. It isn't packed: to unpack takes an emulated CPU longer than to copy. Prints its path.
lane_tools() {
	local programs version file folder
	programs="$(command -v fio) $(PATH=$PATH:/sbin:/usr/sbin command -v mkfs.ext4 e2fsck mkfs.xfs xfs_repair | xargs)"
	[ "$(wc -w <<<"$programs")" = 5 ] || { echo "fio, e2fsprogs or xfsprogs is missing: run scripts/install-deps" >&2; exit 1; }
	version=$(dpkg-query -W -f '${Package} ${Version}\n' fio e2fsprogs xfsprogs libc6 | sha256sum | cut -c1-12)
	file=$PWD/build/kmod-tools-$version.cpio
	if [ ! -e "$file" ]; then
		folder=$(mktemp -d)
		mkdir -p "$folder/bin"
		cp -L $programs "$folder/bin/"
		for library in $(ldd $programs | grep -o '/[^ ]*lib[^ ]*' | grep -v ':$' | sort -u); do
			mkdir -p "$folder/$(dirname "$library")"
			cp -L "$library" "$folder/$library"
		done
		(cd "$folder" && find . | cpio -o -H newc --quiet) >"$file.new"
		mv "$file.new" "$file"
		rm -r "$folder"
	fi
	echo "$file"
}

lane_qemu() { # lane, folder, seconds, kernel, further parameters of the kernel: runs the tests, ends with the verdict
	local lane=$1 work=$2 seconds=$3 kernel=$4 log=$2/console.log tools
	tools=$(lane_tools)
	cat "$tools" "$work/initramfs" >"$work/initrd"
	timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -cpu max,-erms,-fsrm -m "${memory:-1024}" \
		-nodefaults -no-user-config -no-reboot -display none -serial stdio -kernel "$kernel" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 oops=panic hung_task_panic=0 $5" </dev/null 2>&1 | tee "$log" |
		lane_show || true
	lane_verdict "$lane" "$log"
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
