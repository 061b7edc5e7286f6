#!/bin/sh
# Installs the clients and servers of others into $PORTREEVE_STACK (default: <repository>/.stack).
#
# Needs: python3 (3.11 or newer) with venv, npm, cargo, and the package registries that they are set up for.
# Node 22 comes from npm itself, so that the system's Node only has to run npm. Every version is pinned by the
# files next to this script; a part whose pins did not change is left as it is, so a second run takes no time.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
stack=${PORTREEVE_STACK:-$(CDPATH= cd -- "$here/../.." && pwd)/.stack}
mkdir -p "$stack"
stack=$(CDPATH= cd -- "$stack" && pwd)

# up_to_date DIR FILE...: true when DIR was made from exactly these files at this place.
stamp() { { echo "$stack"; cat "$@"; } | cksum; }
up_to_date() {
  dir=$1
  shift
  [ -f "$dir/.installed" ] && [ "$(cat "$dir/.installed")" = "$(stamp "$@")" ]
}

python_environment() {
  dir=$stack/$1
  pins=$here/requirements-$1.txt
  up_to_date "$dir" "$pins" && return
  rm -rf "$dir"
  python3 -m venv "$dir"
  # --no-deps: the pins are the whole environment; a missing one shows in `pip check` instead of floating in.
  "$dir/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$pins"
  "$dir/bin/pip" check --disable-pip-version-check >/dev/null
  stamp "$pins" >"$dir/.installed"
}

node_environment() {
  dir=$stack/node
  up_to_date "$dir" "$here/package.json" "$here/package-lock.json" && return
  rm -rf "$dir"
  mkdir -p "$dir"
  cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$dir"
  (cd "$dir" && npm ci --loglevel=error)
  # The optional dependency that fits this processor brings the real Node 22 as .bin/node.
  "$dir/node_modules/.bin/node" --version >/dev/null
  stamp "$here/package.json" "$here/package-lock.json" >"$dir/.installed"
}

# The lock file pins what is built; cargo itself knows whether anything changed.
rust_programs() {
  CARGO_TARGET_DIR=$stack/rmcp cargo build --quiet --locked --manifest-path "$here/rmcp/Cargo.toml"
}

# Side by side: they mostly wait for the network. Each one's failure fails the script.
jobs=
for name in py1 py2 py-2024-11-05 py-2025-03-26 py-2025-06-18 fastmcp4; do
  python_environment "$name" & jobs="$jobs $!"
done
node_environment & jobs="$jobs $!"
rust_programs & jobs="$jobs $!"
failed=0
for job in $jobs; do wait "$job" || failed=1; done
[ "$failed" -eq 0 ] || { echo "install.sh: a part could not be installed (see above)" >&2; exit 1; }
echo "$stack"
