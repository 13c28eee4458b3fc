//! Reads WFDB records, annotations and CSV recordings; says what was cut short.
