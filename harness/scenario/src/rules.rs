//! What no schema can say.
