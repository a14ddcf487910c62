//! Sibling programs, supervision of child processes, and what a process has used.

mod child;
mod sibling;
mod usage;

pub(crate) use child::follow_parent;
#[cfg(feature = "simulated")]
pub(crate) use child::{Child, Launch};
pub(crate) use sibling::{Sibling, exec};
pub(crate) use usage::{Usage, of_self};
