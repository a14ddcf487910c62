//! The two owners. A core without I/O decides what is sealed, signed, encrypted and believed; [`transport`] carries it.
//!
//! Model owner: [`trust::Challenge`] → appraise → [`ModelOwner::encrypt_model`] → [`ModelOwner::register`] →
//! [`Registration::confirm`].
//!
//! Data owner: [`trust::Challenge`] → appraise → [`Deployment::verify`] → [`DataOwner::open`] → [`OpeningSession::confirm`] →
//! [`Session::encrypt_inputs`] → [`Session::job`] → [`Session::open_result`].
//!
//! The host is an adversary here: every byte that comes through it is checked against what the enclave signed, and the
//! enclave's key is believed only after appraisal.
#![forbid(unsafe_code)]

mod bundle;
pub mod canary;
mod data_owner;
mod deployment;
mod error;
pub mod hex;
mod identity;
mod layout;
pub mod leakage;
mod model_owner;
mod session;
pub mod transport;
pub mod trust;

pub use bundle::Written;
pub use data_owner::{DataOwner, OpeningSession};
pub use deployment::Deployment;
pub use error::ClientError;
pub use identity::{Identity, IdentityError};
pub use layout::{LayoutError, groups, lay_out};
pub use model_owner::{ModelOwner, Registration};
pub use session::{Job, Outcome, Session};
