//! Unix: Linux for all of it, other systems for what they share with it.
