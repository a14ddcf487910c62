//! Sibling programs, supervision of child processes, and what a process has used.

mod child;
mod sibling;
mod usage;

pub(crate) use child::{Child, Launch, follow_parent};
pub(crate) use sibling::{Sibling, exec};
pub(crate) use usage::{Usage, of_self};
