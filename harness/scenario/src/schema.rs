//! The JSON Schema of the scenario file, generated from the types.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::model::Scenario;
use crate::sources::EXTENDS;
use crate::variants::{NOT_IN_A_VARIANT, VARIANT};

/// Name of the checked-in schema, in the folder of the scenarios.
pub const SCHEMA_FILE: &str = "scenario.schema.json";

/// The schema of a whole scenario, JSON Schema draft 2020-12.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Scenario>().to_value()
}

/// The schema as it is checked in, for editors: that of a file. It differs from a whole scenario in that
/// anything may be left to the file that it extends or to its variants, so it asks for no key but two.
pub fn schema_text() -> String {
    let mut file = schema();
    make_partial(&mut file);
    let mut variant = file["properties"].clone();
    for key in NOT_IN_A_VARIANT {
        if let Some(properties) = variant.as_object_mut() {
            properties.remove(key);
        }
    }
    variant["name"] = json!({
        "description": "Its name: it is run as `scenario/variant`.", "type": "string",
    });
    file["required"] = json!(["format", "name"]);
    file["properties"][EXTENDS] = json!({
        "description": "A file, or a folder with a `scenario.toml`, over which this one is laid: tables are \
                        merged, entries of lists by their `name`, `id` or `path`, and all else is replaced.",
        "type": "string",
    });
    file["properties"][VARIANT] = json!({
        "description": "Scenarios of their own, each laid over the rest of the file as the file is laid over \
                        what it extends.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": variant,
            "required": ["name"],
            "additionalProperties": false,
        },
    });
    let mut text = serde_json::to_string_pretty(&file)
        .expect("a JSON value with string keys can always be written");
    text.push('\n');
    text
}

/// Takes out what asks for keys: a part may leave any of them out, also the word that tells one shape from
/// another, so several may fit.
fn make_partial(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("required").is_some_and(Value::is_array) {
                map.remove("required");
            }
            if let Some(choices) = map.remove("oneOf") {
                map.insert("anyOf".to_owned(), choices);
            }
            map.values_mut().for_each(make_partial);
        }
        Value::Array(items) => items.iter_mut().for_each(make_partial),
        _ => {}
    }
}
