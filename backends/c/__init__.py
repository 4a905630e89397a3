"""Event-driven, integer-only C99 with static memory."""

from snnc.backends.c.backend import CBackend

__all__ = ["CBackend"]
