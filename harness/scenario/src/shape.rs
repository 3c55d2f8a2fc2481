//! The file against the schema.
