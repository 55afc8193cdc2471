"""All faults, and within how many seconds the engine must be at work again after each."""

from tests.faults.injections import disk, messages, postgres, processes, valkey
from tests.faults.scene import Fault

KILL_BOUND_S = 12.0
FLUSH_BOUND_S = 10.0
POSTGRES_BOUND_S = 5.0
STOP_BOUND_S = 5.0

BOUNDS: dict[Fault, float] = {
    processes.kill_pool_process: KILL_BOUND_S,
    processes.kill_worker: KILL_BOUND_S,
    processes.kill_all_workers: KILL_BOUND_S,
    processes.replace_worker: STOP_BOUND_S,
    processes.kill_sweeper: KILL_BOUND_S,
    processes.kill_api: KILL_BOUND_S,
    processes.freeze_worker: KILL_BOUND_S,
    postgres.hold_run_lock: KILL_BOUND_S,
    valkey.flush_redis: FLUSH_BOUND_S,
    valkey.restart_valkey: FLUSH_BOUND_S,
    valkey.valkey_down: FLUSH_BOUND_S,
    valkey.freeze_valkey: FLUSH_BOUND_S,
    messages.send_chain_three_times: FLUSH_BOUND_S,
    valkey.deliver_twice: FLUSH_BOUND_S,
    postgres.restart_postgres: POSTGRES_BOUND_S,
    postgres.postgres_down: POSTGRES_BOUND_S,
    disk.fill_disk: KILL_BOUND_S,
}
