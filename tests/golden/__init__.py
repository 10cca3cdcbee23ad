"""Logs, certificates and proofs that verifiers are held against; see ``make``."""
