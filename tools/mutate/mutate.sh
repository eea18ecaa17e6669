#!/usr/bin/env bash
# Changes the code of some packages in small ways, one at a time, and runs their tests on each change: mutate.sh FOLDER...
# A change that no test notices is one that nothing guards against. Fails if fewer than 90 % of them are noticed. It works
# on a copy of the tracked files, with gremlins' default operators. What lives is printed; docs/mutation.md says why.
set -euo pipefail
cd "$(dirname "$0")/../.."

tool=github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0
# A mutant that fails a property test takes long, since the counterexample is made small first.
patience=30
least=90

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$copy"
cd "$copy"

failed=0
for folder in "$@"; do
  echo "mutating $folder ..."
  go run "$tool" unleash --timeout-coefficient "$patience" --threshold-efficacy "$least" "./$folder" || failed=1
done
exit "$failed"
