#!/usr/bin/env bash
# Says whether the generated code and pages that are committed are what their sources give.
set -euo pipefail
cd "$(dirname "$0")/../.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
tools/generate/generate.sh --check "$fresh"
for part in backend/api backend/service/audit/mock_test.go api/openapi docs/configuration.md docs/refusals.md; do
  diff -r "$fresh/$part" "$part" || {
    echo "verify: $part is not fresh: run make generate" >&2
    exit 1
  }
done
