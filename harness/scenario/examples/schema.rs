//! Prints the JSON Schema of the scenario file: `cargo run -p scenario --example schema`.

fn main() {
    print!("{}", scenario::schema_text());
}
