//! Every seed of a scenario is set by `with_seed`.

use scenario::Scenario;
use serde_json::Value;

const TEXT: &str = r#"
format = 1
name = "seeds"
title = "All that chance decides"
description = "One of each."

[machine]
image = "understudy"
start = "cold"

[[given]]
name = "driver"
kind = "driver"
driver = "bad.sys"
defect = "null-read"
chance = { percent = 50, seed = 1 }

[[fault]]
name = "cut"
kind = "power"
what = "cut"
at = { write = 3 }
unflushed = "torn"
seed = 1

[[fault]]
name = "loss"
kind = "network"
trouble = { loss = { percent = 30, seed = 1 } }

[[fault]]
name = "late"
kind = "network"
trouble = { late-link = { after = "5m", chance = { percent = 40, seed = 1 } } }

[expect]
verdict = "unaffected"
"#;

/// All values of the key `seed`, wherever it is.
fn seeds(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("seed").and_then(Value::as_u64));
            map.values().for_each(|value| seeds(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| seeds(value, found)),
        _ => {}
    }
}

#[test]
fn every_seed_is_another_one() {
    let scenario: Scenario = toml::from_str(TEXT).unwrap();
    let mut found = Vec::new();
    seeds(&serde_json::to_value(scenario.with_seed(7)).unwrap(), &mut found);
    assert_eq!(found, [7; 4]);
}

/// How many shapes of the schema have a key `seed`.
fn shapes_with_a_seed(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let own = map.get("properties").is_some_and(|keys| keys.get("seed").is_some());
            usize::from(own) + map.values().map(shapes_with_a_seed).sum::<usize>()
        }
        Value::Array(values) => values.iter().map(shapes_with_a_seed).sum(),
        _ => 0,
    }
}

/// Where this fails something else has got a seed: `with_seed` and the text above are to know it.
#[test]
fn these_are_all_the_seeds_there_are() {
    // Of a power fault, of a chance, of lost frames.
    assert_eq!(shapes_with_a_seed(&scenario::schema()), 3);
}
