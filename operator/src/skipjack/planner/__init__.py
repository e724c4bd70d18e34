"""What training takes, in closed forms."""

from .needs import full_peak_bytes, state_bytes, stored_bytes, training_flops

__all__ = ["full_peak_bytes", "state_bytes", "stored_bytes", "training_flops"]
