"""A run's story.

1. `runs.create_run` writes the run, its contacts and the charge in one transaction; a door sends the chain.
2. A worker's first task finds the run pending: `runs.begin_stage` starts it and its first stage, and
   `chunks.plan` cuts the stage into chunks.
3. Chunk tasks `chunks.claim` a chunk each, under a lease, and work it: `stages` turn records into outcomes.
4. About once a second `chunks.record` writes the outcomes and renews the lease; `live_state` tells readers.
5. The last chunk's end lets `runs.advance` complete the stage; the chain goes on with the next.
6. `results.compile` writes the exports, then preview, mix, gap report, rebate and `completed` at once.
7. Whatever dies in between, the sweeper sends the chain again from what the rows say: `stalled.find_stalled`.
8. Some months after its end the run's data is deleted; its counts stay: `retention`.
"""
