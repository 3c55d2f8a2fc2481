//! Transaction logs beside a hive.
