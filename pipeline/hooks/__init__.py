"""Hooks: where an account is notified, the messages that are due, their bodies, and what becomes of each attempt.

`models.hook_outbox` writes messages, together with the change that they are about. `worker.hooks` sends them.
"""
