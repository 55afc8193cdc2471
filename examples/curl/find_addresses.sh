#!/usr/bin/env bash
# Finds the addresses of the contacts in a file: ./find_addresses.sh contacts.csv found.csv
set -euo pipefail
source=$1 target=$2
api=$GROWTH_API_URL/api/v1/growth

# The key does not stand on a command line, where other users of the machine could read it.
request() { curl --fail-with-body --silent --show-error --header @<(echo "Authorization: Bearer $GROWTH_API_KEY") "$@"; }
value() { grep -o "\"$1\": *\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

upload_id=$(request --request POST --data-binary "@$source" "$api/uploads?name=$(basename "$source")" | value upload_id)

plan="{\"pipeline_id\": \"email_discovery_v1\", \"preset\": \"full_pipeline\", \"input_assets\": {\"upload_id\": \"$upload_id\"}}"
run_id=$(request --header "Idempotency-Key: $upload_id" --json "{\"goal_plan\": $plan}" "$api/run" | value run_id)

# Each request waits until something changes. What a state is older than is known by its ETag.
etag=() status=pending
while [[ $status == pending || $status == running ]]; do
  answer=$(request --include "${etag[@]}" "$api/runs/$run_id?wait=30" | tr -d '\r')
  if [[ $answer == HTTP/*' 304'* ]]; then continue; fi
  etag=(--header "If-None-Match: $(grep -i '^etag:' <<<"$answer" | cut -d ' ' -f 2-)")
  status=$(value status <<<"$answer")
  echo "$status: $(value message <<<"$answer")"
done

request --output "$target" "$api/runs/$run_id/exports/contacts_csv"
echo "$target"
