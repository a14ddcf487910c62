//! Model owner and data owner.
