//! PID 1 of the understudy.

fn main() {
    if std::process::id() != 1 {
        eprintln!(
            "understudy is the first process of a virtual machine; build one with understudy-image"
        );
        std::process::exit(2);
    }
    understudy::machine::run()
}
