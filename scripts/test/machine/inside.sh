# Runs as root and as the first process of the emulated machine: makes it look like any other one,
# runs /mnt/command as the user that /mnt belongs to, and turns the machine off.
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount --make-rshared /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd

# The kernel loads all others by itself, as they are asked for.
mount --bind /var/cache/sluice-test/kernel/lib/modules /lib/modules
modprobe --all sctp sctp_diag tun wireguard
chmod 666 /dev/net/tun
ip link set lo up
# SCTP sends a message only where it fits into the socket's buffer: so that one of 1 MiB can.
echo 1048576 >/proc/sys/net/core/wmem_max

# So that one process can hold both ends of 20,000 connections.
ulimit -n 50000

# Whoever writes a number to this has the system out of files for so many seconds.
mkfifo -m 622 /run/no-files
while read -r seconds </run/no-files; do
  file_max=$(cat /proc/sys/fs/file-max)
  echo 1 >/proc/sys/fs/file-max
  sleep "$seconds"
  echo "$file_max" >/proc/sys/fs/file-max
done &

. /mnt/user
install -d -m 0700 -o "$uid" -g "$gid" "$runtime"
setpriv --reuid="$uid" --regid="$gid" --init-groups sh /mnt/command </dev/null 2>&1 | cat || true
exec busybox poweroff -f
