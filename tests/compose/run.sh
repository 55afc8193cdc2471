#!/usr/bin/env bash
# The compose stack as its user meets it: up with three workers and the sandbox, a thousand invented contacts
# through it, one check a sentence, and down again with its volumes, its networks and its image.
# Needs docker with compose, bash and curl. Ends with 0: passed, 1: failed, 77: skipped, since there is no engine.
set -euo pipefail
cd "$(dirname "$0")/../.."

project=growth-test-$$
# Small chunks, so that there is something for everybody; free ports, so that two of these may run at once.
export CHUNK_SIZE=50 API_PORT=0 FLOWER_PORT=0 GROWTH_IMAGE=$project
# The shell's variables would win over sandbox.env.
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
  ((status == 0)) || { compose logs --no-color --tail=40 >&2; echo "failed: the logs above may say why" >&2; }
  compose down --volumes --remove-orphans >/dev/null 2>&1
  docker image rm "$GROWTH_IMAGE" >/dev/null 2>&1 || true
  exit "$status"
}

refuses_to_start_without_passwords() {
  local answer
  answer=$(docker compose --env-file /dev/null config 2>&1 || true)
  is "without passwords it says which to set" 1 "$(grep -c 'is missing a value: set it in .env' <<<"$answer")"
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
  echo "ok: exports have the size and SHA-256 they are said to have, and agree with the sandbox's truth"
}

several_workers_took_part() {
  local hosts
  hosts=$(sql "SELECT DISTINCT substring(worker FROM '@(.*)/') FROM run_events
               WHERE run_id = '$run_id' AND kind = 'chunk_leased'")
  is "whoever leased a chunk is a worker's container" "" "$(comm -23 <(sort <<<"$hosts") <(worker_hosts))"
  is "at least two of three workers leased chunks" true "$( (($(wc -l <<<"$hosts") >= 2)) && echo true)"
}

worker_hosts() { compose ps --quiet worker | cut -c 1-12 | sort; }

money_moved_once() {
  is "one charge and one rebate" "charge -4000, rebate $((4 * unresolved))" "$(sql "
    SELECT string_agg(kind || ' ' || credits, ', ' ORDER BY kind) FROM credit_ledger WHERE run_id = '$run_id'")"
}

api_answers_on_the_host() {
  local url
  url=http://$(compose port api 8000)/api/v1/growth/runs/$run_id
  is "the host's port leads to the API" 200 "$(http_status "$url" --header "Authorization: Bearer $api_key")"
}

flower_wants_its_password_and_names_our_tasks() {
  local url password
  url=http://$(compose port flower 5555)/api/tasks
  password=$(sed -n 's/^FLOWER_BASIC_AUTH=//p' sandbox.env)
  is "Flower refuses whoever has no password" 401 "$(http_status "$url")"
  is "Flower lets in whoever has it" 200 "$(http_status "$url" --user "$password")"
  is "Flower shows the run's tasks by name" "growth.compile growth.email_lookup growth.email_verify growth.chunk" \
    "$(curl --silent --user "$password" "$url" | grep -o '"name": "growth[^"]*"' | cut -d '"' -f 4 | sort -u | xargs)"
}

http_status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }

stops_when_asked() {
  local codes
  compose stop >/dev/null 2>&1
  # 143 is what uvicorn answers to SIGTERM after it has closed everything; 137 would be SIGKILL.
  codes=$(compose ps --all --quiet | xargs docker inspect --format='{{.State.ExitCode}}' | sort -u | xargs)
  is "everything ends when it is asked to, and nothing has to be killed" "0 143" "$codes"
}

if ! docker info >/dev/null 2>&1 || ! docker compose version >/dev/null 2>&1; then
  echo "skipped: no container engine with compose answers here. Start one, or set DOCKER_HOST." >&2
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
money_moved_once
api_answers_on_the_host
flower_wants_its_password_and_names_our_tasks
everything_is_healthy "after the run"
stops_when_asked
