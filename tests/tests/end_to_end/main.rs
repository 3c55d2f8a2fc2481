//! Everything that boots a machine, and the built command. One program, so that tests run two at a time whatever
//! file they are in; each has a state directory of its own.

mod any_disk;
mod c_driver;
mod command;
mod daemon;
mod guide;
mod isolation;
mod leaks;
mod main_job;
mod on_images;
mod power;
mod qualify;
mod stop_screen;
mod unprivileged;
