# kernel.sh VERSION: a kernel of that version (7.3, say), unpacked from Debian's
# package; prints the directory that holds vmlinuz, the file "package", and
# lib/modules. Exits 77 and says why where there is none.
#
# What is unpacked is used again without a look at the network; remove it for
# newer ones.
version=${1:?VERSION}
wanted="kernel $version"
. "$(dirname "$0")/apt.sh"
kernel=$cache/kernels/$version

if [[ -e $kernel/vmlinuz ]]; then
	printf '%s\n' "$kernel"
	exit
fi
suites=$(sed -n "s/^$version[[:space:]]\+//p" "$here/kernels")
[[ -n $suites ]] || unavailable "it is not in tests/vm/kernels"
begin
mkdir -p "$cache/kernels"

# Packages with this version's kernel in them: "VERSION PACKAGE MODULES",
# newest first. Older ones have the modules with the kernel; of a newer one they
# are a package of their own, which a mirror may have dropped already.
candidates() {
	local all
	all=$(apt-cache "${apt[@]}" pkgnames linux-)
	apt-cache "${apt[@]}" show $(grep -E "^linux-(image|binary)(-unsigned)?-${version//./\\.}([.+-][^ ]*)?-cloud-amd64(-unsigned)?$" <<<"$all") 2>/dev/null |
		awk '/^Package:/ { p = $2 }
			/^Version:/ { v = $2 }
			/^Installed-Size:/ { size = $2 }
			/^$/ { if (size > 5000) print v, p }
			END { if (size > 5000) print v, p }' |
		sort -u | while read -r v p; do
		r=${p#linux-*-unsigned-} r=${r#linux-image-} r=${r#linux-binary-}
		m=linux-modules-$r
		# With modules goes before newer.
		if [[ $p == linux-image-* ]]; then
			printf '1 %s %s -\n' "$v" "$p"
		elif grep -qxF "$m" <<<"$all"; then
			printf '1 %s %s %s\n' "$v" "$p" "$m"
		else
			printf '0 %s %s -\n' "$v" "$p"
		fi
	done | sort -rV | cut -d' ' -f2-
}

said=
for suite in $suites; do
	if ! use_suite "$suite"; then
		said+="$why; "
		continue
	fi
	read -r pv package modules < <(candidates)
	if [[ -z ${package:-} ]]; then
		said+="$suite has none; "
		continue
	fi
	if ! unpack "$package" ${modules#-}; then
		said+="$why; "
		continue
	fi
	images=("$work"/root/boot/vmlinuz-* "$work"/root/usr/lib/modules/*/vmlinuz*)
	[[ ${#images[@]} != 0 ]] || unavailable "$package has no vmlinuz"
	mkdir -p "$work/new/lib/modules"
	cp "${images[0]}" "$work/new/vmlinuz"
	for dir in "$work"/root/lib/modules/* "$work"/root/usr/lib/modules/*; do
		[[ ! -d $dir/kernel ]] || cp -r "$dir" "$work/new/lib/modules/"
	done
	printf '%s %s %s\n' "$package" "$pv" "$suite" >"$work/new/package"
	rm -rf "$kernel"
	mv "$work/new" "$kernel"
	printf '%s\n' "$kernel"
	exit
done
unavailable "${said%; }"
