#!/bin/bash
# SPDX-License-Identifier: MIT
# Help, version, and that the manual and the completions know the same options.
# shellcheck disable=SC1091,SC2030,SC2031
. "$(dirname "$0")/lib.bash"
SOURCE=${DECANT_SOURCE:?}

run decant
status 2 "without a command: usage"
says "Usage: decant COMMAND" "  on stderr"
for words in --help -h help "help help"; do
	# shellcheck disable=SC2086
	run decant $words
	status 0 "decant $words"
	prints "Usage: decant COMMAND" "  on stdout"
done
run decant --version
status 0 "--version"
is "  is the header's" "$(cat "$OUT")" "decant $(sed -n \
	's/#define DECANT_VERSION_[A-Z]* \([0-9]*\)/\1/p' "$SOURCE/include/decant.h" |
	paste -sd.)"

usage "no command is called 'pour'" pour
usage "no command is called 'pour'" help pour
usage "no option is called '--pour'" --pour
usage "one command" help copy copy

for command in copy core dirty explain images page-server predump probe run serve; do
	run decant "$command" --help
	status 0 "$command --help"
	cp "$OUT" by-option
	run decant help "$command"
	status 0 "help $command"
	ok "  is the same" cmp "$OUT" by-option
	run decant "$command" -h
	ok "  -h, too" cmp "$OUT" by-option
	ok "  80 columns at most" test "$(wc -L <by-option)" -le 80
	prints "Usage: decant $command" "  names the command"
	prints "decant-$command(1)" "  names its page"
done

# "--name ARG" as --help shows it and as the page heads it: *-f*, *--name* _ARG_
options_of_help() {
	sed -n 's/^  \(-.,\|   \) \(--[^ ]*\( [A-Z]\+\)\?\).*/\2/p' "$1" | sort
}
options_of_page() {
	sed -n '/^# OPTIONS/,/^# [^O]/p' "$1" | grep -E '^\*-' |
		sed 's/[*_\\]//g; s/^-., //' | sort
}
for command in copy core dirty explain images page-server predump probe run serve; do
	run decant help "$command"
	options_of_help "$OUT" >in-help
	options_of_page "$SOURCE/man/decant-$command.1.scd" >in-page
	ok "$command: some options are found" test "$(wc -l <in-help)" -gt 4
	ok "$command: --help and its page have the same options" diff in-help in-page
done
sed '1d' in-help >less
ok "control: an option that is missing shows" test "$(diff less in-page | wc -l)" -gt 0

run decant copy --route help
status 0 "copy --route help"
cp "$OUT" routes
ok "  lists routes" test "$(wc -l <routes)" -gt 10
sed -n 's/^## \([a-z-]*\)$/\1/p' "$SOURCE/man/decant-routes.7.scd" | sort >in-page
sort -u routes >in-program
ok "  the page of routes has the same" diff in-program in-page

# When SNAPSHOTTED comes is said in the words of the table of routes.
tr '\n' ' ' <"$SOURCE/man/decant-routes.7.scd" >flat
sed -n 's/^\t\.snapshotted = "\(.*\)",$/\1/p' "$SOURCE"/src/route/*.c >moments
ok "the table of routes is found" test "$(wc -l <moments)" -gt 20
while read -r moment; do
	ok "the page says: $moment" grep -qF -e "$moment" flat
done <moments

# Completions offer what there is, and nothing else.
for command in copy core dirty explain images page-server predump probe run serve; do
	run decant help "$command"
	grep -o -e '--[a-z][a-z-]*' "$OUT" | sort -u >in-help
	# shellcheck disable=SC1091
	(. "$SOURCE/completions/decant"
	COMP_WORDS=(decant "$command" --) COMP_CWORD=2 COMPREPLY=()
	_decant
	printf '%s\n' "${COMPREPLY[@]}" | sed 's/=$//' | sort -u) >offered
	ok "$command: the completion offers its options" diff in-help offered
done
# shellcheck disable=SC1091
(. "$SOURCE/completions/decant"
COMP_WORDS=(decant core $$) COMP_CWORD=2 COMPREPLY=()
_decant
printf '%s\n' "${COMPREPLY[@]}") >offered
ok "after core comes a process" grep -qx $$ offered
# shellcheck disable=SC1091
(. "$SOURCE/completions/decant"
COMP_WORDS=(decant "") COMP_CWORD=1 COMPREPLY=()
_decant
printf '%s\n' "${COMPREPLY[@]}" | sort) >offered
run decant help
sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$OUT" | sort >commands
ok "the completion offers the commands" diff commands offered
finish
