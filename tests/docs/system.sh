#!/usr/bin/env bash
# What make install connects rawfuse to a system with: each file is where the
# switches of configure say, scripts are sound, systemd takes the unit and the
# lines for fstab. Prints how systemd rates the unit.
set -u
PATH=$PATH:/usr/sbin:/sbin
top=$abs_top_srcdir/contrib/system
fail=0 skipped=
complain() { echo "system.sh: $*"; fail=1; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

build=$abs_top_builddir
(cd "$build" && make -s install-data DESTDIR="$work/root" "prefix=/usr" \
  systemd_unit_dir=/usr/lib/systemd/system >"$work/log" 2>&1) ||
  { cat "$work/log"; complain 'make install-data failed'; }
for name in share/bash-completion/completions/rawfuse \
  share/zsh/site-functions/_rawfuse \
  share/fish/vendor_completions.d/rawfuse.fish \
  lib/modprobe.d/rawfuse.conf lib/systemd/system/rawfuse@.service; do
  [ -s "$work/root/usr/$name" ] || complain "$name is not installed"
done
[ ! -e "$work/root/etc/init.d" ] || complain 'init.d is filled unasked'
grep -rn '@[a-z]*dir@' "$work/root" && complain 'a place is not filled in'

# modprobe's own reading of its snippet.
if command -v modprobe >/dev/null; then
  modprobe -C "$top/rawfuse.modprobe.conf" -c |
    grep -qx 'options fuse enable_uring=Y' ||
    complain 'modprobe does not understand the snippet'
else
  skipped+=' modprobe'
fi

for script in rawfuse.initd rawfuse.procd; do
  sh -n "$build/contrib/system/$script" || complain "$script: syntax"
  ! command -v shellcheck >/dev/null ||
    shellcheck -s sh -e SC3043 "$build/contrib/system/$script" ||
    complain "$script: shellcheck"
done

if command -v systemd-analyze >/dev/null; then
  # The program and the setting where the unit looks for them.
  mkdir "$work/units"
  sed "s#^ExecStart=[^ ]*#ExecStart=$(realpath "$build/rawfuse")#; s#AssertPathExists=.*##
    s#^EnvironmentFile=.*#EnvironmentFile=$(realpath "$top/example.conf")#" \
    "$build/contrib/system/rawfuse@.service" >"$work/units/rawfuse@.service"
  said=$(systemd-analyze --man=no verify "$work/units/rawfuse@disk.service" 2>&1 |
    grep -F rawfuse)
  [ -z "$said" ] || complain "systemd-analyze verify: $said"
  said=$(systemd-analyze security --offline=yes --threshold=49 \
    "$work/units/rawfuse@disk.service" 2>&1) ||
    complain "systemd-analyze security: $said"
  grep -F 'exposure level' <<<"$said"

  # Settings that would hide the mount are not there.
  grep -nE '^(Protect(System|Home|Proc|KernelTunables|KernelModules|KernelLogs|ControlGroups)|Private(Tmp|Devices|Mounts|Users)|ProcSubset|(ReadOnly|ReadWrite|Inaccessible|Bind|BindReadOnly|TemporaryFileSystem|Exec|NoExec)[A-Za-z]*Paths?|RootDirectory|RootImage|MountFlags|DynamicUser|[A-Z][a-z]*Directory)=' \
    "$build/contrib/system/rawfuse@.service" &&
    complain 'a setting hides the mount from all others'
else
  skipped+=' systemd-analyze'
fi

generator=/usr/lib/systemd/system-generators/systemd-fstab-generator
[ -x $generator ] || generator=/lib/systemd/system-generators/systemd-fstab-generator
if [ -x $generator ]; then
  mkdir "$work/fstab"
  SYSTEMD_LOG_TARGET=console SYSTEMD_FSTAB="$top/fstab.example" $generator \
    "$work/fstab" "$work/fstab" "$work/fstab" >"$work/log" 2>&1 ||
    complain "fstab: $(cat "$work/log")"
  for unit in srv-disk.raw.mount srv-data.raw.mount mnt-data.mount \
    mnt-data.automount; do
    [ -s "$work/fstab/$unit" ] || complain "fstab: no $unit: $(cat "$work/log")"
  done
  grep -qx 'RequiresMountsFor=/srv/data.raw' "$work/fstab/mnt-data.mount" ||
    complain 'fstab: the file system does not require its file'
  [ ! -e "$work/fstab/local-fs.target.requires/srv-data.raw.mount" ] ||
    complain 'fstab: the file is mounted at boot'
else
  skipped+=' systemd-fstab-generator'
fi

[ $fail = 0 ] || exit 1
[ -z "$skipped" ] || { echo "SKIP: not installed:$skipped"; exit 77; }
