# packages.sh - Debian packages, for tests/run and relay/quickstart (sourced by bash).
#
# apt is asked only when something is missing, and services that a package brings are
# not started.

build_packages=(
    gcc libc6-dev meson ninja-build pkg-config python3
    libuv1-dev libssl-dev libsqlite3-dev libunbound-dev libevent-dev nettle-dev
    libmicrohttpd-dev libjansson-dev libcurl4-openssl-dev libidn2-dev libpcre2-dev
    libgsasl-dev libcrypt-dev libpam0g-dev libseccomp-dev
    libxxhash-dev uthash-dev libcmocka-dev
    ca-certificates # whom `verify` trusts unless the configuration says otherwise
)

packages_missing() {
    local name
    for name; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^.i' ||
            echo "$name"
    done
}

packages_as_root() {
    if [ "$(id -u)" = 0 ]; then
        env "$@"
    elif command -v sudo >/dev/null; then
        sudo env "$@"
    else
        echo "This needs root (or sudo): $*" >&2
        return 1
    fi
}

# Runs apt-get install with a policy that starts no service, and takes the policy away.
packages_apt() {
    local policy=/usr/sbin/policy-rc.d ours= rc=0
    if [ ! -e $policy ]; then
        ours=1
        packages_as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    fi
    packages_as_root DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
        --no-install-recommends "$@" </dev/null || rc=$?
    [ -z "$ours" ] || packages_as_root rm -f $policy
    return $rc
}

# packages_install NAME ... installs what of it is missing.
packages_install() {
    local missing log rc=0
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    log=$(mktemp)
    echo "Installing ${missing[*]}"
    # The lists of packages may be old, or not there at all.
    packages_apt "${missing[@]}" >"$log" 2>&1 ||
        { packages_as_root apt-get -q update </dev/null >>"$log" 2>&1 &&
            packages_apt "${missing[@]}" >>"$log" 2>&1; } || rc=1
    [ $rc = 0 ] || tail -20 "$log" >&2
    rm -f "$log"
    return $rc
}
