"""One model out of a run's many: trained anew on all rows, or taught by the ensemble."""
