# Runs on a host that is reached by ssh: `keep` for as long as the connection lasts, the others whenever asked.
# It lies in the visit's directory. POSIX sh; digests by what the host has.
#
#   keep PROBE [PYTHON…]    say what is here, then wait: what runs here ends when the one who asked has gone
#   lacking                 of the lines SHA256 NAME on standard input, print those of files that are not here
#   store SHA256 NAME       keep standard input as the file of that digest, for other visits too
#   write SHA256 PATH       keep standard input as a file of this visit
#   make PATH               make a directory of this visit
#   fetch PATH              print a file; its digest goes to standard error. 44: there is none
#   run NUMBER PROGRAM…     run a program in the visit's directory
set -u
umask 022
visit=${0%/*}
root=${visit%/*}

has() {
    command -v "$1" >/dev/null 2>&1
}

digest() {
    if has sha256sum; then
        sha256sum <"$1" | cut -c 1-64
    elif has sha256; then
        sha256 -q "$1"
    elif has shasum; then
        shasum -a 256 <"$1" | cut -c 1-64
    else
        openssl dgst -sha256 -r <"$1" | cut -c 1-64
    fi
}

is_file() {
    [ -f "$1" ] && [ ! -h "$1" ]
}

# Standard input becomes the file $2, whole or not at all, if its digest is $1.
receive() {
    part=$2.part-$$
    if ! cat >"$part"; then
        rm -f "$part"
        exit 3
    fi
    found=$(digest "$part")
    if [ "$found" != "$1" ]; then
        rm -f "$part"
        printf 'it arrived with the sha256 %s\n' "$found" >&2
        exit 4
    fi
    mv -f "$part" "$2" || exit 3
}

# The login shell may have started this one in a group of its own, or not.
process_group() {
    if has ps; then
        ps -o pgid= -p $$ | tr -d ' '
    else
        cut -d ' ' -f 5 /proc/$$/stat
    fi
}

fact() {
    printf 'spare-tire-fact %s %s\n' "$1" "$2"
}

# Each directory of PATH once, whatever names it has.
places() {
    seen=:
    old=$IFS
    IFS=:
    for place in $PATH; do
        IFS=$old
        real=$(cd -P "$place" 2>/dev/null && pwd -P) || continue
        case $seen in
        *":$real:"*) ;;
        *)
            seen=$seen$real:
            printf '%s\n' "$place"
            ;;
        esac
    done
    IFS=$old
}

candidates() {
    for python in "$@"; do
        printf '%s\n' "$python"
    done
    places | while read -r place; do
        versioned=
        for python in "$place"/python3.[0-9] "$place"/python3.[0-9][0-9] "$place"/python3.[0-9][0-9]t; do
            if [ -f "$python" ] && [ -x "$python" ]; then
                versioned=yes
                printf '%s\n' "$python"
            fi
        done
        if [ -z "$versioned" ] && [ -x "$place/python3" ]; then
            printf '%s\n' "$place/python3"
        fi
    done
}

# A tenth of a second, where there is such; `tries` counts them.
nap() {
    sleep 0.1 2>/dev/null || { sleep 1 && tries=$((tries + 9)); }
    tries=$((tries + 1))
}

any_alive() {
    for pid in "$@"; do
        if kill -0 "$pid" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

# All at once, within ten seconds; their numbers say in which order they were found.
pythons() {
    candidates "$@" | {
        set --
        asked=
        while read -r python; do
            set -- "$@" "$python"
            "$python" -I -S -c "$probe" >"$visit/answer-$#" 2>&1 </dev/null &
            asked="$asked $!"
        done
        tries=0
        # shellcheck disable=SC2086 # numbers
        while any_alive $asked && [ "$tries" -lt 100 ]; do
            nap
        done
        number=0
        for pid in $asked; do
            number=$((number + 1))
            if kill -KILL "$pid" 2>/dev/null; then
                answer='no answer within 10 s'
            else
                answer=$(tail -n 1 "$visit/answer-$number")
            fi
            fact python "$number	$1	$answer"
            rm -f "$visit/answer-$number"
            shift
        done
    }
}

tell() {
    fact root "$root"
    fact system "$(uname -s)"
    fact machine "$(uname -m)"
    fact path "$PATH"
    fact processors "$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null)"
    fact uv "$(command -v uv 2>/dev/null)"
    fact bwrap "$(command -v bwrap 2>/dev/null)"
    pythons "$@"
}

running() {
    for file in "$visit"/run/*; do
        if [ -f "$file" ] && read -r group <"$file" && kill -0 "-$group" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

signal_all() {
    for file in "$visit"/run/*; do
        if [ -f "$file" ] && read -r group <"$file"; then
            kill "-$1" "-$group" 2>/dev/null
        fi
    done
}

# The helper ends what it has started itself, which takes a moment.
end_all() {
    signal_all TERM
    tries=0
    while running && [ "$tries" -lt 80 ]; do
        nap
    done
    signal_all KILL
    rm -f "$visit"/run/*
}

keep() {
    trap '' HUP PIPE
    probe=$1
    shift
    end_all # what a connection has left that was lost
    printf '%s\n' $$ >"$visit/keeper" || exit 3
    PATH=$PATH$(for place in /usr/local/bin /usr/pkg/bin /opt/homebrew/bin; do
        case :$PATH: in
        *":$place:"*) ;;
        *) [ -d "$place" ] && printf ':%s' "$place" ;;
        esac
    done)
    tell "$@"
    printf 'spare-tire-ready\n'
    word=
    while [ "$word" != "done" ] && read -r word; do :; done
    if [ "$(cat "$visit/keeper" 2>/dev/null)" != $$ ]; then
        exit 0 # another connection goes on with the visit
    fi
    end_all
    if [ "$word" = "done" ]; then
        rm -rf "$visit"
    fi
}

case $1 in
keep)
    shift
    keep "$@"
    ;;
lacking)
    while read -r sha256 name; do
        if is_file "$root/files/$sha256/$name" && [ "$(digest "$root/files/$sha256/$name")" = "$sha256" ]; then
            touch "$root/files/$sha256"
        else
            printf '%s %s\n' "$sha256" "$name"
        fi
    done
    ;;
store)
    mkdir -p "$root/files/$2" || exit 3
    receive "$2" "$root/files/$2/$3"
    ;;
write)
    mkdir -p "$visit/$(dirname "$3")" || exit 3
    receive "$2" "$visit/$3"
    ;;
make)
    mkdir -p "$visit/$2" || exit 3
    ;;
fetch)
    is_file "$2" || exit 44
    digest "$2" >&2
    cat "$2"
    ;;
run)
    number=$2
    shift 2
    process_group >"$visit/run/$number" || exit 3
    cd "$visit" || exit 3
    "$@" </dev/null 2>&1
    status=$?
    rm -f "$visit/run/$number"
    exit "$status"
    ;;
esac
