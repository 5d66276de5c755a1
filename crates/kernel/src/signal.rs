//! Signals: masks, dispositions, signalfd(2).
