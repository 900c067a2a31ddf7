#!/bin/sh
# SPDX-License-Identifier: MIT
# See that the packages of some groups of ../dependencies are there.
#	tools/deps.sh [--install] GROUP...
# With --install what is missing is installed, as root or through sudo (which asks
# for a password on a terminal only); where that cannot be, and without --install,
# the list is printed and we fail.
# DECANT_DEPS=ignore: believe that all is there (other distributions).
set -eu
cd "$(dirname "$0")/.."

install=false
if [ "${1-}" = --install ]; then
	install=true
	shift
fi
[ "${DECANT_DEPS-}" != ignore ] || exit 0

wanted=
for group; do
	found=$(sed -n "s/^$group: *//p" dependencies)
	[ -n "$found" ] || { echo "tools/deps.sh: no group '$group' in dependencies" >&2; exit 2; }
	wanted="$wanted $found"
done

# Package names are words: splitting is meant.
# shellcheck disable=SC2086
missing=$(printf '%s\n' $wanted | sort -u | while read -r package; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=none
	[ "$state" = installed ] || printf ' %s' "$package"
done)
[ -n "$missing" ] || exit 0

stop()
{
	echo "decant needs these packages of Debian 12:$missing" >&2
	echo "$1" >&2
	exit 1
}

$install || stop "install them (tools/deps.sh --install $*), or set DECANT_DEPS=ignore"
command -v apt-get >/dev/null ||
	stop "there is no apt-get here: install what they hold, then set DECANT_DEPS=ignore"
if [ "$(id -u)" = 0 ]; then
	as_root='env'
elif sudo -n true 2>/dev/null; then
	as_root='sudo -n env'
elif [ -t 0 ] && command -v sudo >/dev/null; then
	as_root='sudo env'
else
	stop "neither root nor sudo without a password; as root: \
apt-get install --no-install-recommends$missing"
fi
echo "installing:$missing"
# Without a network apt-get says it of each package: the first lines are enough.
# shellcheck disable=SC2086
said=$({
	$as_root apt-get -qq update
	$as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 install $missing
} 2>&1 >/dev/null) || {
	printf '%s\n' "$said" | sed 3q >&2
	stop "apt-get could not install them: is there a network, and are the lists of packages?"
}
