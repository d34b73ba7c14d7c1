#!/usr/bin/env bash
# Fetches botocore's protocol corpus, which its wheel lacks and its source distribution holds, for test_corpus.py.
# Goes through pip's own configuration; does nothing when the corpus of the installed version is there already.
set -euo pipefail
cd "$(dirname "$0")"

python=../../.venv/bin/python
[ -x "$python" ] || python=python3
version=$("$python" -c 'from importlib.metadata import version; print(version("botocore"))')
target=.corpus/$version
[ -d "$target/protocols" ] && exit 0

pip=()
for candidate in "$python -m pip" "python3 -m pip" "uv tool run pip"; do
  # shellcheck disable=SC2086
  if $candidate --version >/dev/null 2>&1; then
    read -ra pip <<<"$candidate"
    break
  fi
done
if [ "${#pip[@]}" -eq 0 ]; then
  echo "fetch_corpus.sh: needs pip or uv to download botocore's source distribution" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${pip[@]}" download --quiet --disable-pip-version-check --no-deps --no-binary botocore \
  --dest "$work" "botocore==$version"
mkdir -p "$target"
tar -xzf "$work/botocore-$version.tar.gz" -C "$work" "botocore-$version/tests/unit/protocols"
mv "$work/botocore-$version/tests/unit/protocols" "$target/protocols"
echo "botocore $version: protocol corpus in tests/wire/$target"
