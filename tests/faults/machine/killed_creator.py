"""Creates a run for the account of its argument, commits, and is killed before it can send the chain.

It reads the goal plan from standard input as JSON, and prints the run's id.
"""

import os
import signal
import sys
from uuid import UUID

from models.database import open_database
from models.wire import GoalPlan
from pipeline.credits import RateCard
from pipeline.runs.create import create_run
from settings import load_settings


def main() -> None:
    database = open_database(load_settings().database_url, pool_size=1)
    plan = GoalPlan.model_validate_json(sys.stdin.read())
    with database.transaction() as session:
        created = create_run(session, UUID(sys.argv[1]), plan, rate_card=RateCard())
    sys.stdout.write(f"{created.run_id}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
