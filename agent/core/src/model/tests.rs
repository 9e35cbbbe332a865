//! Whole probes through the model.
