"""The record of mining. It lies with its engine, since other experiments read it too. No torch."""

from deconvnet.mining.run_record import MiningRecord

__all__ = ["MiningRecord"]
