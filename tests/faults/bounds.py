"""All faults, and the seconds within which the engine must recover from each."""

from tests.faults.engine import Broker, Route
from tests.faults.injections import clocks, disk, messages, network, pgbouncer, postgres, processes, rabbitmq, valkey
from tests.faults.machine.clocks import CAN_JUMP
from tests.faults.scene import Fault

KILL_BOUND_S = 12.0
CHECKPOINT_BOUND_S = 10.0
POSTGRES_BOUND_S = 5.0
FAILED_STEP_BOUND_S = 10.0
STOP_BOUND_S = 5.0
CLOCK_BOUND_S = 5.0
RABBITMQ_BOUND_S = 12.0

ON_ANY_BROKER: dict[Fault, float] = {
    processes.kill_worker_process: KILL_BOUND_S,
    processes.kill_worker: KILL_BOUND_S,
    processes.kill_all_workers: KILL_BOUND_S,
    processes.replace_worker: STOP_BOUND_S,
    processes.kill_sweeper: KILL_BOUND_S,
    processes.kill_api: KILL_BOUND_S,
    processes.freeze_worker: KILL_BOUND_S,
    network.cut_off_worker: KILL_BOUND_S,
    network.reset_connections: KILL_BOUND_S,
    clocks.jump_worker_clock: CLOCK_BOUND_S,
    clocks.jump_sweeper_and_api_clocks: CLOCK_BOUND_S,
    postgres.hold_run_lock: KILL_BOUND_S,
    postgres.restart_postgres: POSTGRES_BOUND_S,
    postgres.postgres_down: POSTGRES_BOUND_S,
    postgres.end_sessions: POSTGRES_BOUND_S,
    postgres.too_many_clients: POSTGRES_BOUND_S,
    postgres.postgres_read_only: POSTGRES_BOUND_S,
    postgres.fail_loading: FAILED_STEP_BOUND_S,
    valkey.flush_redis: CHECKPOINT_BOUND_S,
    valkey.restart_valkey: CHECKPOINT_BOUND_S,
    valkey.valkey_down: CHECKPOINT_BOUND_S,
    valkey.freeze_valkey: CHECKPOINT_BOUND_S,
    valkey.valkey_out_of_memory: CHECKPOINT_BOUND_S,
    valkey.valkey_read_only: CHECKPOINT_BOUND_S,
    messages.send_chain_three_times: CHECKPOINT_BOUND_S,
    disk.break_disk: KILL_BOUND_S,
    disk.fill_disk: KILL_BOUND_S,
}

ON_REDIS: dict[Fault, float] = {
    messages.deliver_twice: CHECKPOINT_BOUND_S,
}

ON_RABBITMQ: dict[Fault, float] = {
    rabbitmq.restart_rabbitmq: RABBITMQ_BOUND_S,
    rabbitmq.rabbitmq_down: RABBITMQ_BOUND_S,
    rabbitmq.freeze_rabbitmq: RABBITMQ_BOUND_S,
    rabbitmq.lose_queues: CHECKPOINT_BOUND_S,
    rabbitmq.lose_messages: RABBITMQ_BOUND_S,
}

BEHIND_PGBOUNCER: dict[Fault, float] = {
    pgbouncer.restart_pgbouncer: POSTGRES_BOUND_S,
    pgbouncer.pgbouncer_down: POSTGRES_BOUND_S,
}

BOUNDS: dict[Fault, float] = {**ON_ANY_BROKER, **ON_REDIS, **ON_RABBITMQ, **BEHIND_PGBOUNCER}

AT_THE_END = (disk.break_disk, disk.fill_disk)
"""These faults are noticed only while the results are compiled: no other fault can follow them."""


def is_possible(fault: Fault) -> bool:
    """Whether the fault can be injected on this machine."""
    if fault in (clocks.jump_worker_clock, clocks.jump_sweeper_and_api_clocks):
        return CAN_JUMP
    return fault is not disk.fill_disk or disk.can_mount()


def faults_on(broker: Broker, route: Route) -> list[Fault]:
    """The faults for this broker and this route to Postgres, always in the same order."""
    of_broker = ON_RABBITMQ if broker == "rabbitmq" else ON_REDIS
    return [*ON_ANY_BROKER, *of_broker, *(BEHIND_PGBOUNCER if route == "pgbouncer" else ())]
