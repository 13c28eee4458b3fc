//! Linux's device tree, derived from the description.
