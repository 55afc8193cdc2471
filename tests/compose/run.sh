#!/usr/bin/env bash
# Tests the compose stack as a user starts it: with three workers and the sandbox it completes a run of a thousand
# invented contacts. Afterwards it removes the containers, volumes, networks and the image.
# Needs docker with compose, bash and curl. Exit status: 0 passed, 1 failed, 77 skipped, since no engine answers.
set -euo pipefail
cd "$(dirname "$0")/../.."

project=growth-test-$$
# Small chunks, so that each worker gets some; free ports, so that two of these tests can run at the same time.
export CHUNK_SIZE=50 API_PORT=0 FLOWER_PORT=0 GROWTH_IMAGE=$project
# Variables of the shell would override sandbox.env.
unset COMPOSE_FILE COMPOSE_PROFILES GROWTH_PULL_POLICY POSTGRES_PASSWORD REDIS_PASSWORD FLOWER_BASIC_AUTH SANDBOX_PEOPLE

compose() { docker compose --project-name "$project" --env-file sandbox.env "$@"; }
sql() { compose exec -T postgres psql --username=growth --no-align --tuples-only --command="$1"; }
in_sandbox() { compose exec -T -e GROWTH_API_KEY="$api_key" sandbox "$@"; }

is() { # what, expected, got
  [[ $3 == "$2" ]] || { echo "not ok: $1: expected '$2', got '$3'" >&2; exit 1; }
  echo "ok: $1"
}

clean_up() {
  local status=$?
  ((status == 0)) || { compose logs --no-color --tail=40 >&2; echo "failed: see the logs above" >&2; }
  compose down --volumes --remove-orphans >/dev/null 2>&1
  docker image rm "$GROWTH_IMAGE" >/dev/null 2>&1 || true
  exit "$status"
}

refuses_to_start_without_passwords() {
  local answer
  answer=$(docker compose --env-file /dev/null config 2>&1 || true)
  is "without passwords it names the ones to set" 1 "$(grep -c 'is missing a value: set it in .env' <<<"$answer")"
}

comes_up_healthy() {
  compose up --detach --wait --scale worker=3 >/dev/null
  everything_is_healthy "after the start"
}

everything_is_healthy() { # when
  local states
  states=$(compose ps --quiet | xargs docker inspect --format='{{.State.Health.Status}}' | sort | uniq -c | xargs)
  is "nine containers are healthy $1" "9 healthy" "$states"
}

nothing_runs_as_root() {
  local container users=()
  for container in $(compose ps --quiet); do users+=("$(docker exec "$container" id -u)"); done
  is "nothing runs as root" 0 "$(printf '%s\n' "${users[@]}" | grep -cx 0 || true)"
}

only_api_and_flower_are_published() {
  local published
  published=$(compose ps --quiet | xargs -n 1 docker port | sed 's/ ->.*//' | sort | xargs)
  is "only API and Flower are published" "5555/tcp 8000/tcp" "$published"
}

completes_a_run() {
  api_key=$(compose exec -T api growth account create demo --credits 100000 | sed -n 's/^API key.*: //p')
  run_id=$(in_sandbox growth submit /tmp/contacts.csv --watch | sed -n 's/^Run \([0-9a-f-]*\): .* queued\.$/\1/p')
  is "a run completes" completed "$(sql "SELECT status FROM runs WHERE id = '$run_id'")"
}

result_is_true_and_downloads_intact() {
  unresolved=$(in_sandbox python - "$run_id" <tests/compose/check_results.py)
  echo "ok: exports have the stated size and SHA-256, and agree with the sandbox's truth"
}

several_workers_took_part() {
  local hosts
  hosts=$(sql "SELECT DISTINCT substring(worker FROM '@(.*)/') FROM run_events
               WHERE run_id = '$run_id' AND kind = 'chunk_leased'")
  is "only containers of workers leased chunks" "" "$(comm -23 <(sort <<<"$hosts") <(worker_hosts))"
  is "at least two of three workers leased chunks" true "$( (($(wc -l <<<"$hosts") >= 2)) && echo true)"
}

worker_hosts() { compose ps --quiet worker | cut -c 1-12 | sort; }

credits_are_charged_once() {
  is "one charge and one rebate" "charge -4000, rebate $((4 * unresolved))" "$(sql "
    SELECT string_agg(kind || ' ' || credits, ', ' ORDER BY kind) FROM credit_ledger WHERE run_id = '$run_id'")"
}

api_answers_on_the_host() {
  local url
  url=http://$(compose port api 8000)/api/v1/growth/runs/$run_id
  is "the API answers on the port of the host" 200 "$(http_status "$url" --header "Authorization: Bearer $api_key")"
}

flower_requires_its_password_and_names_our_tasks() {
  local url password
  url=http://$(compose port flower 5555)/api/tasks
  password=$(sed -n 's/^FLOWER_BASIC_AUTH=//p' sandbox.env)
  is "Flower refuses requests without a password" 401 "$(http_status "$url")"
  is "Flower accepts requests with the password" 200 "$(http_status "$url" --user "$password")"
  is "Flower shows the run's tasks by name" "growth.chunk growth.compile growth.email_lookup growth.email_verify" \
    "$(curl --silent --user "$password" "$url" | grep -o '"name": "growth[^"]*"' | cut -d '"' -f 4 | sort -u | xargs)"
}

http_status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }

stops_on_sigterm() {
  local codes
  compose stop >/dev/null 2>&1
  # uvicorn exits with 143 after SIGTERM, once it has closed everything; 137 would be SIGKILL.
  codes=$(compose ps --all --quiet | xargs docker inspect --format='{{.State.ExitCode}}' | sort -u | xargs)
  is "every container stops on SIGTERM, and none is killed" "0 143" "$codes"
}

if ! docker info >/dev/null 2>&1 || ! docker compose version >/dev/null 2>&1; then
  echo "skipped: no container engine with compose answers. Start one, or set DOCKER_HOST." >&2
  exit 77
fi
trap clean_up EXIT
refuses_to_start_without_passwords
comes_up_healthy
nothing_runs_as_root
only_api_and_flower_are_published
completes_a_run
result_is_true_and_downloads_intact
several_workers_took_part
credits_are_charged_once
api_answers_on_the_host
flower_requires_its_password_and_names_our_tasks
everything_is_healthy "after the run"
stops_on_sigterm
