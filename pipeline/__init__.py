"""A run, from its creation to the deletion of its data.

1. `runs.create.create_run` writes the run, its contacts and the charge in one transaction. After the commit the caller
   sends the chain of tasks with `worker.dispatch.send_chain`.
2. The chain's first task finds the run pending. `runs.lifecycle.begin_stage` starts the run and its first stage, and
   `runs.chunks.plan` cuts the stage into chunks.
3. Each chunk task leases chunks with `runs.chunks.lease_several` and works many at once: a module of `pipeline.stages`
   turns contacts into outcomes.
4. Every `CHECKPOINT_SECONDS`, `runs.chunks.record_several` writes the new outcomes and renews the leases in one
   transaction. `runs.live_state` publishes the progress for readers.
5. The task that finishes the last chunk completes the stage with `runs.lifecycle.advance`; the chain's next task begins
   the next stage.
6. The last task writes the export files with `results.exports.write_exports`. `runs.lifecycle.complete` then writes
   the preview, the data source mix, the gap report, the rebate and the status `completed` in one transaction.
7. If a process dies, the sweeper finds the run with `runs.stalled.find_stalled` and sends its chain again. The rows say
   where to go on.
8. Some months after its end, `privacy.retention.retract` and `privacy.retention.delete_contacts` delete the run's
   data. Its counts stay.
"""
