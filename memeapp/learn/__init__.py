"""The learning core: features in, calibrated checkpoints out. No pictures, database or page."""
