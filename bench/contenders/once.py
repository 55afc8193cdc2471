"""Single runs of the engine with stages that contact no server: `python -m bench.contenders.once Z:10000 S:10 T:1000`.

For a profile or a quick look: nothing is compared or kept. The modes are those of `bench.contenders.engine_stages`. The
workers' process ids are printed before the first run. Ends in one line of JSON: the seconds of each run.
"""

import argparse
import json

from bench.contenders.contender import seconds_of_run, warm_up
from bench.contenders.engine import running_growth
from bench.contenders.servers import running_servers
from bench.reporting.turns import report


def main() -> None:
    """Do the runs one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runs", nargs="+", metavar="MODE:CONTACTS")
    runs = [run.split(":") for run in arguments.parse_args().runs]
    with running_servers() as servers, running_growth(servers) as engine:
        warm_up(engine)
        engine.analyse()
        report(f"processes of the first worker: {engine.worker_pids()}")
        seconds = [round(seconds_of_run(engine, int(contacts), mode), 3) for mode, contacts in runs]
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
