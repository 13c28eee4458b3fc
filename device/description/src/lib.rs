//! The one device description: read, checked, and everything derivable derived.
