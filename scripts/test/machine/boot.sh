#!/bin/sh
# Usage: boot.sh SHARE COMMAND [ARG...]
#
# Boots Debian's kernel, which has SCTP, under qemu's plain emulation and runs COMMAND there as this
# user, in this folder, with this environment. Its files are this machine's; what it writes is gone
# afterwards, except in /mnt, which is the folder SHARE. Exits with COMMAND's status, or with 125
# and a line on stderr where the machine didn't get that far.
set -eu
share=$1
shift
here=$(dirname "$0")

# Where scripts/test/install.sh unpacks it.
kernel=/var/cache/sluice-test/kernel
limit_s=2700

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

quoted() {
  printf "'%s' " "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# A shell script that does what this shell would do. vitest.config.ts looks for the variable.
command_script() {
  export -p
  echo 'export SLUICE_TEST_MACHINE=emulated'
  printf 'cd %s\n' "$(quoted "$PWD")"
  for word; do
    quoted "$word"
  done
  printf '\necho $? >/mnt/status\n'
}

# What the kernel needs to reach this machine's files, and the program that does so.
initramfs() {
  version=$(ls "$kernel/lib/modules")
  for folder in bin dev files root written; do
    mkdir -p "$work/root/$folder"
  done
  cp "$(command -v busybox)" "$work/root/bin"
  install -m 755 "$here/init" "$work/root"
  for module in virtio_pci 9pnet_virtio 9p overlay; do
    modprobe -S "$version" -d "$kernel" --show-depends "$module"
  done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$work/root"
    echo "/${file##*/}"
  done >"$work/root/modules"
  (cd "$work/root" && find . | cpio --quiet -o -H newc) >"$work/initramfs"
}

machine() {
  timeout --foreground "$limit_s" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp 2 -m 3072 \
    -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$kernel"/boot/vmlinuz-* -initrd "$work/initramfs" \
    -append 'console=ttyS0 quiet panic=-1' \
    -virtfs local,path=/,mount_tag=files,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$share,mount_tag=share,security_model=none" </dev/null
}

initramfs
cp "$here/inside.sh" "$share"
command_script "$@" >"$share/command"
printf 'uid=%s gid=%s runtime=%s\n' "$(id -u)" "$(id -g)" \
  "$(quoted "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}")" >"$share/user"
rm -f "$share/status"

# The console ends lines in its own way.
{ machine || echo $? >"$work/failure"; } | sed -u 's/\r$//'

if [ -s "$share/status" ]; then
  exit "$(cat "$share/status")"
elif [ "$(cat "$work/failure" 2>/dev/null)" = 124 ]; then
  echo "machine: did not finish within $limit_s s" >&2
else
  echo 'machine: did not boot, or stopped before the command ended: see its console above' >&2
fi
exit 125
