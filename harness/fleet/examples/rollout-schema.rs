//! Prints the JSON Schema of the rollout file, to be checked in.

fn main() {
    print!("{}", fleet::schema_text());
}
