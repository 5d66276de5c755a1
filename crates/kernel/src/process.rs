//! Processes: clone3(2), descriptors of processes, waiting, exec.
