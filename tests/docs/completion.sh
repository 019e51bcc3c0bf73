#!/usr/bin/env bash
# The completion of bash and fish in those shells; that of zsh by a terminal of
# its own. What it offers is what rawfuse takes.
set -u
dir=$abs_top_builddir/contrib/completion
rawfuse=$abs_top_builddir/rawfuse
fail=0 skipped=
complain() { echo "completion.sh: $*"; fail=1; }

(cd "$abs_top_builddir" && make -s contrib/completion/rawfuse \
  contrib/completion/_rawfuse contrib/completion/rawfuse.fish) || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
mkdir dir 'a dir'
touch disk.img disk.raw dir/file

. "$dir/rawfuse" || complain "bash cannot read it"

# complete_as WORDBREAKS WORD...: what the last word, divided at = and : as bash
# does, may become.
complete_as() {
  local word part
  COMP_WORDBREAKS=$1
  shift
  COMP_WORDS=()
  for word; do
    if [[ $COMP_WORDBREAKS == *=* && $word == *[=:]* ]]; then
      while [[ $word == *[=:]* ]]; do
        part=${word%%[=:]*}
        [[ -z $part ]] || COMP_WORDS+=("$part")
        word=${word#"$part"}
        COMP_WORDS+=("${word:0:1}")
        word=${word:1}
      done
      [[ -z $word ]] || COMP_WORDS+=("$word")
    else
      COMP_WORDS+=("$word")
    fi
  done
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _rawfuse
  printf '%s\n' "${COMPREPLY[@]}" | sed 's/ *$//' | sort | tr '\n' '|'
}

# offers WANT WORD...: as bash is set up by default.
offers() {
  local want=$1 got
  shift
  got=$(complete_as $' \t\n"\'><=;|&(:' "$@")
  [[ $got == "$want|" ]] || complain "bash: '$*' gives '$got', not '$want|'"
}

# Whole words, where = divides none.
offers_whole() {
  local want=$1 got
  shift
  got=$(complete_as $' \t\n' "$@")
  [[ $got == "$want|" ]] || complain "bash: '$*' gives '$got', not '$want|'"
}

offers 'auto|off|on' rawfuse --io-uring=
offers 'off|on' rawfuse --io-uring=o
offers 'auto|off|on' rawfuse --io-uring ''
offers_whole '--io-uring=off|--io-uring=on' rawfuse --io-uring=o
offers '--writeback-cache|--writeback-interval=' rawfuse --writeback
offers '--io-uring=' rawfuse -r --io
offers 'a dir|dir|disk.img|disk.raw' rawfuse ''
offers 'disk.img|disk.raw' rawfuse -r dis
offers 'disk.raw' rawfuse disk.img disk.r
offers 'disk.img|disk.raw' rawfuse --pidfile=dis
offers 'dir/file' rawfuse --wait dir/
offers 'a dir|dir' rawfuse --allow-files=
offers '' rawfuse --grace=
offers 'ring' rawfuse -d r
offers 'fuse,ring' rawfuse --trace=fuse,r
offers 'ro,io_uring=' rawfuse -o ro,io
offers 'off|on' rawfuse -o ro,io_uring=o
offers 'off,cache=' rawfuse -o ro,io_uring=off,cach
offers_whole 'ro,io_uring=off|ro,io_uring=on' rawfuse -o ro,io_uring=o

# Every option of --help, and no other; what a choice offers is taken.
help=$("$rawfuse" --help=all 2>/dev/null) || help=$("$rawfuse" --help)
in_help=$(printf '%s\n' "$help" | grep -oE '^ *(-., )? *--[a-z-]+' |
  grep -oE -e '--[a-z-]+' | sort -u)
offered=$(complete_as '' rawfuse -- | tr '|' '\n' | sed 's/=$//' |
  grep . | sort -u)
[ "$in_help" = "$offered" ] ||
  complain "options differ: $(diff <(echo "$in_help") <(echo "$offered"))"
n=0
for option in $offered; do
  words= what=
  _rawfuse_takes "$option" || continue
  for word in $words; do
    said=$("$rawfuse" "$option=$word" 2>&1 </dev/null)
    [[ $said != *"$word"*"not one of"* && $said != *"not understood"* ]] ||
      complain "$option=$word: $said"
    n=$((n + 1))
  done
done
[ $n -gt 20 ] || complain "$n choices are too few"

if command -v fish >/dev/null; then
  export HOME=$work XDG_CONFIG_HOME=$work XDG_DATA_HOME=$work
  fish_offers() {
    local got
    got=$(fish --no-config -c "source '$dir/rawfuse.fish'; complete -C '$2'" |
      cut -f1 | sort | tr '\n' '|')
    [[ $got == "$1|" ]] || complain "fish: '$2' gives '$got', not '$1|'"
  }
  fish_offers '--io-uring=auto|--io-uring=off|--io-uring=on' \
    'rawfuse --io-uring='
  fish_offers 'qcow2' 'rawfuse --format qc'
  fish_offers '--no-lock' 'rawfuse --no-'
  fish_offers 'disk.img|disk.raw' 'rawfuse -r dis'
else
  skipped+=' fish'
fi

if command -v zsh >/dev/null; then
  # The keys come from zle itself, which so has begun when they are read.
  cat >type.zsh <<-'END'
	zmodload zsh/zpty
	cat >.zshrc <<-RC
		PS1=; setopt no_beep; LISTMAX=0
		fpath=(${(q)1} \$fpath); autoload -U compinit; compinit -u -D
		bindkey '^I' list-choices
		keys=${(q)2}$'\t\C-u'"echo DO''NE"$'\n'
		zle-line-init() { zle -U -- "\$keys"; keys=; }
		zle -N zle-line-init
	RC
	ZDOTDIR=$PWD zpty z zsh -i
	zpty -r -m z text '*DONE*'
	print -r -- "$text"
	zpty -d z
	END
  zsh_offers() {
    local got word
    got=$(timeout 20 zsh -f type.zsh "$dir" "$1" |
      sed 's/\x1b\[[?0-9;]*[A-Za-z]/ /g; s/\r//g')
    shift
    for word; do
      grep -qE -- "(^| )$word( |\$)" <<<"$got" ||
        complain "zsh does not offer '$word': $got"
    done
  }
  zsh_offers 'rawfuse --io-uring=' auto on off
  zsh_offers 'rawfuse --writeback-' --writeback-cache --writeback-interval
  zsh_offers 'rawfuse -r dis' disk.img disk.raw
else
  skipped+=' zsh'
fi

[ $fail = 0 ] || exit 1
[ -z "$skipped" ] || { echo "not installed:$skipped"; exit 77; }
