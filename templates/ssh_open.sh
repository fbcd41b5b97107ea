# The first words to a host that is reached by ssh; its sh reads them from standard input.
# The arguments were set before: the visit's name, then what `keep` takes. Nothing but `exec sh -s` passes through the
# login shell, whatever that is.
set -u
umask 022
printf '\n' # what the login shell may have printed ends here

root=${TMPDIR:-/tmp}/spare-tire-$(id -u)
mkdir -m 700 "$root" 2>/dev/null
# shellcheck disable=SC2012 # there is no other way to a mode in POSIX
if [ -h "$root" ] || [ ! -O "$root" ] || [ "$(ls -ld "$root" | cut -c 1-10)" != drwx------ ]; then
    printf 'the scratch directory %s is not a directory of this user alone (mode 0700), or cannot be made\n' "$root"
    exit 3
fi
root=$(cd "$root" && pwd -P)
visit=$root/$1
shift

# What visits that nobody came back to have left, and files that nobody has wanted for long. A `visit-*` beside them is of
# the same user's `local` worker.
for left in "$root"/remote-visit-*; do
    if [ -n "$(find "$left" -prune -mmin +120 2>/dev/null)" ] && ! kill -0 "$(cat "$left/keeper")" 2>/dev/null; then
        rm -rf "$left"
    fi
done
find "$root/files" -path "$root/files/*" -prune -mtime +14 -exec rm -rf {} \; 2>/dev/null

if [ -d "$visit/run" ]; then
    printf 'spare-tire-fact visit goes on\n'
fi
mkdir -p "$visit/run" "$root/files" || exit 3
cat >"$visit/agent.sh" <<'spare-tire-end' || exit 3
