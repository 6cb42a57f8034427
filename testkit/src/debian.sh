# Installs Debian's package $1, of a server or a pooler, without a cluster or a daemon of its own.
set -eu
[ -e /etc/debian_version ] || { echo "this is not Debian, whose package $1 could be installed" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "only root could install Debian's package $1" >&2; exit 1; }
echo "installing Debian's package $1" >&2
# Two at once would undo each other's settings below.
exec 9< /etc/debian_version
flock 9
export DEBIAN_FRONTEND=noninteractive

install() {
    apt-get --yes -qq --no-install-recommends install "$1" ||
        { apt-get --yes -qq update && apt-get --yes -qq --no-install-recommends install "$1"; }
}

# Puts the text $2 into the file $1 until this ends.
put() {
    if [ -e "$1" ]; then cp -p "$1" "$1.before"; else touch "$1.none"; fi
    printf '%b' "$2" > "$1"
}
put_back() {
    for file in "$setting" "$policy"; do
        [ ! -e "$file.before" ] || mv "$file.before" "$file"
        [ ! -e "$file.none" ] || rm -f "$file.none" "$file"
    done
}
# Read when a server is installed: whether to create a cluster.
setting=/etc/postgresql-common/createcluster.conf
# Asked whether a package may start its daemon when it is installed.
policy=/usr/sbin/policy-rc.d
trap put_back EXIT
trap 'exit 1' HUP INT TERM

put "$policy" '#!/bin/sh\nexit 101\n'
chmod 755 "$policy"
if [ "$1" = postgresql ]; then
    install postgresql-common
    put "$setting" 'create_main_cluster = false\n'
fi
install "$1"
# Nor at the next start of the machine. What is no service, such as Java, has nothing to disable.
if [ "$1" != postgresql ] && [ -e "/etc/init.d/$1" ]; then
    update-rc.d "$1" disable
fi
