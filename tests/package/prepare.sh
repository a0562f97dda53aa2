# The packages to test, and a clean system with its package lists and the libraries that the package needs at hand, so
# that no network is needed later. Sets ROOT, and VERSION and its successors. Sourced by run.

ROOT=$WORK/root
VERSION=$(sed -nE '1s/.*\((.*)\).*/\1/p' deploy/debian/changelog)
VERSION_UPGRADED=$VERSION+1  # the same, newer
VERSION_CONFIG=$VERSION+2    # with another default configuration
VERSION_REFUSED=$VERSION+3   # to be installed over a configuration that it does not accept
export ROOT VERSION VERSION_UPGRADED VERSION_CONFIG VERSION_REFUSED

built() {  # built [CPACK-ARGUMENT]...: the path of the package that was built
    local said
    said=$(deploy/package "$@") || { echo "$said" >&2; return 1; }
    tail -1 <<<"$said"
}

# A package as another one, with another version; its files are changed by a command in its folder.
repacked() {  # repacked PACKAGE VERSION COMMAND...
    rm -rf "$WORK/repack"
    dpkg-deb -R "$1" "$WORK/repack"
    sed -i "s/^Version: .*/Version: $2/" "$WORK/repack/DEBIAN/control"
    (cd "$WORK/repack" && "${@:3}")
    dpkg-deb --root-owner-group -Zgzip -b "$WORK/repack" "$WORK/packages" >/dev/null
}

# Debian's own mirror, or what this machine uses instead.
fresh_system() {
    local mirror=()
    [ -f /etc/apt/sources.list.d/debian.sources ] && mirror=(/etc/apt/sources.list.d/debian.sources)
    apt-config dump | grep -E '^Acquire::(https?|Check)' >"$WORK/aptopt" || true
    mmdebstrap --quiet --format=tar --variant=minbase --include=systemd-sysv --skip=cleanup/apt/lists --aptopt="$WORK/aptopt" \
        bookworm "$1" "${mirror[@]}"
}

echo '-> The package'
mkdir -p "$WORK/packages"
package=$(built)
cp "$package" "$WORK/packages"
cp "$(built -D CPACK_PACKAGE_VERSION="$VERSION_UPGRADED")" "$WORK/packages"
repacked "$package" "$VERSION_CONFIG" sh -c 'echo "# another default" >>etc/holdfast/holdfast.toml'
repacked "$WORK/packages/holdfast_${VERSION_CONFIG}_$(dpkg --print-architecture).deb" "$VERSION_REFUSED" true
# Root is told that root is not what lintian was made for.
lintian --allow-root --fail-on error,warning "$package"
echo "   ok: lintian: $(basename "$package")"

echo '-> A clean system'
mkdir -p "$CACHE/archives"
find "$CACHE" -maxdepth 1 -name 'bookworm.tar' -mtime +7 -delete
if [ ! -f "$CACHE/bookworm.tar" ]; then
    fresh_system "$CACHE/bookworm.tar.new"
    mv "$CACHE/bookworm.tar.new" "$CACHE/bookworm.tar"
    rm -f "$CACHE/archives/"*.deb
fi
mkdir -p "$ROOT"
tar -xf "$CACHE/bookworm.tar" -C "$ROOT"
cp -r "$WORK/packages" "$ROOT/packages"
rm -f "$ROOT/etc/resolv.conf"
cp /etc/resolv.conf "$ROOT/etc/resolv.conf"
cp "$CACHE/archives/"*.deb "$ROOT/var/cache/apt/archives/" 2>/dev/null || true
chroot "$ROOT" env -i PATH="$PATH" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq --download-only --no-install-recommends "/packages/$(basename "$package")" >/dev/null
cp "$ROOT/var/cache/apt/archives/"*.deb "$CACHE/archives/"
