#!/bin/sh
# Usage: as-test-user.sh COUNTS [ARG...]. Runs suite.sh as an unprivileged user, in a copy of the checkout,
# and fails if it leaves a process behind. Needs root on Debian.
set -eu

counts=$1
shift
user=sluice-test
runtime=/run/$user

# Two runs at once would take each other's processes for their own.
exec 9>"/run/lock/$user.lock"
if ! flock --nonblock 9; then
  echo 'test: waiting for another run on this machine to end'
  flock 9
fi

make_user() {
  if ! id "$user" >/dev/null 2>&1; then
    useradd --create-home --shell /bin/sh "$user"
  fi
  if ! grep -q "^$user:" /etc/subuid || ! grep -q "^$user:" /etc/subgid; then
    echo "test: $user has no subordinate ids: remove the user ('userdel -r $user') and run again" >&2
    return 1
  fi
  install -d -m 0700 -o "$user" -g "$user" "$runtime"
  # slirp4netns and pasta open it as the user.
  [ ! -e /dev/net/tun ] || chmod 0666 /dev/net/tun
}

# Processes of the user's own id and of its subordinate ones, zombies aside: "PID NAME" lines.
user_processes() {
  grep -sE '^(Name|State|Uid):' /proc/[0-9]*/status | tr '/:' '  ' | awk \
    -v uid="$(id -u "$user")" -v range="$(grep -m 1 "^$user:" /etc/subuid | cut -d: -f2,3)" '
    BEGIN { split(range, sub_ids, ":") }
    $4 == "Name" { name = $5 }
    $4 == "State" { state = $5 }
    $4 == "Uid" && state != "Z" &&
      ($5 == uid || ($5 >= sub_ids[1] && $5 < sub_ids[1] + sub_ids[2])) { print $2, name }'
}

# Waits, 5 seconds at most, until the user has no process.
no_processes() {
  tries=50
  while [ -n "$(user_processes)" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}

end_processes() {
  for signal in TERM KILL; do
    # shellcheck disable=SC2046 # a list of ids; one may end before it is reached
    kill "-$signal" $(user_processes | cut -d' ' -f1) 2>/dev/null || true
    if no_processes; then
      return
    fi
  done
}

as_user() {
  # The user's tools find no trace of root's environment, but for the way to the package registry;
  # the lock stays with this script.
  runuser -u "$user" -- env -i HOME="$home" USER="$user" LOGNAME="$user" \
    PATH="$PATH:/usr/sbin:/sbin" LANG=C.UTF-8 XDG_RUNTIME_DIR="$runtime" \
    CI="${CI:-}" ${NO_COLOR:+NO_COLOR=1} \
    ${NODE_EXTRA_CA_CERTS:+"NODE_EXTRA_CA_CERTS=$NODE_EXTRA_CA_CERTS"} "$@" 9>&-
}

sh "$(dirname "$0")/install.sh"
make_user
home=$(getent passwd "$user" | cut -d: -f6)
if ! as_user node --version >/dev/null; then
  echo "test: $user cannot run '$(command -v node)': install Node where every user can read it" >&2
  exit 1
fi

if ! no_processes; then
  echo "test: an earlier run was interrupted; ending what it left: $(user_processes | tr '\n' ';')"
  end_processes
fi

# The checkout may be in a folder that only root can enter.
rm -rf "$home/checkout" "$home/counts"
as_user mkdir "$home/checkout"
tar -c --exclude=./.git . | as_user tar -x -C "$home/checkout"

status=0
(cd "$home/checkout" && as_user sh scripts/test/suite.sh "$home/counts" "$@") || status=1
[ ! -s "$home/counts" ] || cp "$home/counts" "$counts"

if ! no_processes; then
  echo "test: left running by the suites: $(user_processes | tr '\n' ';')" >&2
  end_processes
  status=1
fi
exit "$status"
