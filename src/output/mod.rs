//! The output file: the only place that reads or writes it, and the home of nearly all `unsafe`.
