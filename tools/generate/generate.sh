#!/usr/bin/env bash
# Generates backend/api and api/openapi out of api/**/*.proto, without network. With --check DIR it writes into DIR
# instead, for comparing. Needs Debian's protobuf-compiler.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=.
[ "${1:-}" = --check ] && out=$2
bin=$PWD/.build/protoc
mkdir -p "$bin" "$out/api/openapi"
go build -o "$bin" \
  google.golang.org/protobuf/cmd/protoc-gen-go \
  google.golang.org/grpc/cmd/protoc-gen-go-grpc \
  github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway \
  github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2 \
  github.com/envoyproxy/protoc-gen-validate \
  ./tools/protodesc
"$bin/protodesc" "$bin/clutch.binpb"

module=github.com/haproxy-access/clutch-haproxy-access
# One package a call: protoc-gen-validate puts all files of a call into one package.
for dir in $(find api -name '*.proto' -printf '%h\n' | sort -u); do
  args=(--go_out="$out" --go_opt=module=$module --validate_out="$out" --validate_opt=lang=go,module=$module)
  if grep -lq '^service ' "$dir"/*.proto; then
    args+=(--go-grpc_out="$out" --go-grpc_opt=module=$module,require_unimplemented_servers=false
      --grpc-gateway_out="$out" --grpc-gateway_opt=module=$module
      --openapiv2_out="$out/api/openapi" --openapiv2_opt=json_names_for_fields=true,allow_merge=true,merge_file_name=haproxyaccess)
  fi
  PATH="$bin:$PATH" protoc --descriptor_set_in="$bin/clutch.binpb" -I. "${args[@]}" "$dir"/*.proto
done

# The reference pages that follow from the protos and the code.
mkdir -p "$out/docs"
protoc --descriptor_set_in="$bin/clutch.binpb" -I. --include_source_info --include_imports \
  --descriptor_set_out="$bin/config.binpb" $(find api/config -name '*.proto' | sort)
go run ./tools/docgen configuration "$bin/config.binpb" > "$out/docs/configuration.md"
go run ./tools/docgen refusals > "$out/docs/refusals.md"

# The mock of Clutch's auditor.
mkdir -p "$out/backend/service/audit"
go run github.com/golang/mock/mockgen -source backend/service/audit/grantsink.go \
  -destination "$out/backend/service/audit/mock_test.go" -package audit -self_package github.com/haproxy-access/clutch-haproxy-access/backend/service/audit
