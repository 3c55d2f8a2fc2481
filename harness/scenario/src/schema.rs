//! The JSON Schema of the scenario file, generated from the types.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::model::Scenario;

/// Name of the checked-in schema, in the folder of the scenarios.
pub const SCHEMA_FILE: &str = "scenario.schema.json";

/// The schema, JSON Schema draft 2020-12.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Scenario>().to_value()
}

/// The schema as it is checked in.
pub fn schema_text() -> String {
    let mut text = serde_json::to_string_pretty(&schema())
        .expect("a JSON value with string keys can always be written");
    text.push('\n');
    text
}
